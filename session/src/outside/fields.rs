//! Reads a record by the names of its fields alone.
//!
//! What serde derives for a record also reads it as a list, and serde_json offers it as either: half of the code
//! that each has is for lists, which are never written.

use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// For `deserialize_with`, of a record in a record.
pub(crate) fn fields<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    T::deserialize(Fields(from))
}

/// The same of one that may not be there.
pub(crate) fn some_fields<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    struct Record<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Record<T> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            fields(from).map(Self)
        }
    }
    let read = Option::<Record<T>>::deserialize(from)?;
    Ok(read.map(|Record(read)| read))
}

/// A word of a few: by its text alone, where serde_json would take a map for one that holds something.
pub(crate) fn word<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::deserialize(String::deserialize(from)?.into_deserializer())
}

/// Several of them.
pub(crate) fn words<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    words.into_iter().map(|word| T::deserialize(word.into_deserializer())).collect()
}

struct Fields<D>(D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Fields<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        number: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Word {
        One,
        TheOther,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        #[serde(deserialize_with = "fields")]
        inner: Inner,
        #[serde(default, deserialize_with = "some_fields")]
        some: Option<Inner>,
        #[serde(deserialize_with = "word")]
        word: Word,
        #[serde(deserialize_with = "words")]
        words: Vec<Word>,
    }

    fn read(text: &str) -> Option<Outer> {
        fields(&mut serde_json::Deserializer::from_str(text)).ok()
    }

    /// Show that a record is read by names, with what is in it, and that neither a list nor another word is one.
    #[test]
    fn records_have_names() {
        let text = r#"{"inner":{"number":1},"some":null,"word":"one","words":["the-other","one"]}"#;
        let (inner, words) = (Inner { number: 1 }, vec![Word::TheOther, Word::One]);
        assert_eq!(read(text), Some(Outer { inner, some: None, word: Word::One, words }));
        let some = read(&text.replace("null", r#"{"number":2}"#)).and_then(|read| read.some);
        assert_eq!(some, Some(Inner { number: 2 }));
        for (right, wrong) in [
            (r#"{"number":1}"#, "[1]"),
            (r#"{"number":1}"#, "{}"),
            ("null", "[2]"),
            (r#""one","words""#, r#""two","words""#),
            (r#""one","words""#, r#"{"one":null},"words""#),
        ] {
            assert_eq!(read(&text.replace(right, wrong)), None, "{wrong}");
        }
        assert_eq!(read(r#"[[1],null,"one",[]]"#), None);
    }
}
