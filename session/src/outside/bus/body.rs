//! What D-Bus messages carry.

use std::str::Split;

use serde::{Serialize, Serializer};
use zbus::wire::Signature;
use zbus::{Array, DynamicType, Message, Structure, Variant};

use crate::terms::decimal::decimal;

/// The arguments of any call: zbus takes any type, and for each it has a copy of
/// all that sends a message.
pub(super) struct Arguments<'a>(Option<Structure<'a>>);

impl<'a> Arguments<'a> {
    /// From their signature and their words, a line each, as busctl(1) takes them: a
    /// variant has its signature before it, and an array its number of elements. Less
    /// code than a conversion for each tuple.
    pub(super) fn of(signature: &str, words: &'a str) -> zbus::Result<Self> {
        if signature.is_empty() {
            return Ok(Self(None));
        }
        let mut words = words.split('\n');
        match read(&Signature::try_from(&*format!("({signature})"))?, &mut words)? {
            Variant::Structure(all) if words.next().is_none() => Ok(Self(Some(all))),
            _ => Err(zbus::Error::ExcessData),
        }
    }
}

fn read<'a>(signature: &Signature, words: &mut Split<'a, char>) -> zbus::Result<Variant<'a>> {
    if let Signature::Structure(fields) = signature {
        let mut read_fields = Structure::builder();
        for field in fields.iter() {
            read_fields.push_value(read(field, words)?);
        }
        return read_fields.build().map(Variant::Structure);
    }
    let word = words.next().ok_or(zbus::Error::MissingField)?;
    Ok(match signature {
        Signature::Array(element) => {
            let mut array = Array::new(element);
            for _ in 0..number(word)? {
                array.append(read(element, words)?)?;
            }
            Variant::Array(array)
        }
        Signature::Variant => Variant::Variant(read(&Signature::try_from(word)?, words)?.into()),
        Signature::Str => Variant::Str(word.into()),
        Signature::Bool => Variant::Bool(word == "true"),
        Signature::U8 => Variant::U8(small(word)?),
        Signature::U32 => Variant::U32(small(word)?),
        Signature::I32 => Variant::I32(small(word)?),
        Signature::U64 => Variant::U64(number(word)?),
        _ => return Err(zbus::Error::IncorrectType),
    })
}

fn small<T: TryFrom<u64>>(word: &str) -> zbus::Result<T> {
    number(word)?.try_into().map_err(|_| zbus::Error::OutOfBounds)
}

fn number(word: &str) -> zbus::Result<u64> {
    decimal(word).ok_or(zbus::Error::IncorrectType)
}

impl DynamicType for Arguments<'_> {
    fn signature(&self) -> Signature {
        self.0.as_ref().map_or(Signature::Unit, DynamicType::signature)
    }
}

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(arguments) => arguments.serialize(to),
            None => to.serialize_unit(),
        }
    }
}

/// What Get answers: a variant.
pub(super) fn property<T>(reply: &Message) -> zbus::Result<T>
where
    T: for<'v> TryFrom<&'v Variant<'v>, Error = zbus::Error>,
{
    let body = reply.body();
    let answer: Structure<'_> = body.deserialize()?;
    answer.fields().first().ok_or(zbus::Error::InvalidReply)?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Show that words are read as their signature says, all of them.
    #[test]
    fn words_follow_their_signature() {
        let asked = "user-1.slice\ntrue\n2\nTasksMax\nt\n18446744073709551615\nX\nay\n0";
        let Arguments(Some(read)) = Arguments::of("sba(sv)", asked).unwrap() else { panic!() };
        let [Variant::Str(unit), Variant::Bool(true), Variant::Array(all)] = read.fields() else {
            panic!("{read:?}")
        };
        assert_eq!((unit.as_str(), all.len()), ("user-1.slice", 2));
        assert!(matches!(Arguments::of("", ""), Ok(Arguments(None))));
        for (signature, words) in
            [("s", "a\nb"), ("ss", "a"), ("u", "-1"), ("y", "256"), ("d", "1")]
        {
            assert!(Arguments::of(signature, words).is_err(), "{signature} {words}");
        }
    }
}
