//! What D-Bus messages carry.

use serde::{Serialize, Serializer};
use zbus::wire::Signature;
use zbus::{DynamicType, Message, Structure, Variant};

/// The arguments of any call: zbus takes any type, and for each it has a copy of
/// all that sends a message.
pub(super) struct Arguments<'a>(Option<Structure<'a>>);

impl Arguments<'_> {
    pub(super) const NONE: Self = Self(None);
}

impl<'a, T: Into<Structure<'a>>> From<T> for Arguments<'a> {
    fn from(arguments: T) -> Self {
        Self(Some(arguments.into()))
    }
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
