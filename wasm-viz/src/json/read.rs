//! Values from JSON.
//!
//! serde asks a format for the fields of a struct in any order, or for its elements in their order. The second takes
//! a fraction of the code, and an object serves for it too: the field that is next is looked up. One that is absent
//! is, for serde, one that the elements do not reach; its default is taken, and what has none is missing.

use std::fmt::{self, Display};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, Expected, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::tree::{Cause, Damage, Fault, Node, Value, tree};

/// Reads a value.
///
/// # Errors
/// The text is no JSON, or not of this value: an unknown field, a missing one, a value of the wrong kind.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, Damage> {
    let read = tree(text).and_then(|node| T::deserialize(&node).map_err(|fault| fault.at(&node)));
    read.map_err(|fault| fault.located(text))
}

impl Fault {
    /// The same about a value, if it is not about another one already.
    #[inline(never)]
    fn at(mut self, node: &Node) -> Self {
        self.0.at = self.0.at.or(Some(node.at));
        self
    }

    #[inline(never)]
    fn of(what: fmt::Arguments<'_>) -> Self {
        Self(Box::new(Cause { what: what.to_string(), at: None, missing: None }))
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)
    }
}

impl std::error::Error for Fault {}

/// What came instead is not said: the place is, and the value stands there.
impl Error for Fault {
    fn custom<T: Display>(what: T) -> Self {
        Self::of(format_args!("{what}"))
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(format_args!("expected {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::of(format_args!("expected {expected}"))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let mut fault = Self::of(format_args!("expected {expected}"));
        fault.0.missing = Some(length);
        fault
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::of(format_args!("`{variant}` is none of {}", expected.join(", ")))
    }
}

impl Node {
    fn text(&self) -> Result<&str, Fault> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(Fault::of(format_args!("expected a text"))),
        }
    }

    fn number(&self) -> Result<u64, Fault> {
        match &self.value {
            Value::Number(number) => Ok(*number),
            _ => Err(Fault::of(format_args!("expected a whole number"))),
        }
    }

    fn list(&self) -> Result<&[Self], Fault> {
        match &self.value {
            Value::List(list) => Ok(list),
            _ => Err(Fault::of(format_args!("expected an array"))),
        }
    }

    fn object(&self) -> Result<&[(Self, Self)], Fault> {
        match &self.value {
            Value::Object(object) => Ok(object),
            _ => Err(Fault::of(format_args!("expected an object"))),
        }
    }

    /// The fields of a struct, in their order, all that there are being of it.
    fn fields(&self, names: &'static [&'static str]) -> Result<Fields<'_>, Fault> {
        let object = self.object()?;
        for (key, _) in object {
            let name = key.text()?;
            if !names.contains(&name) {
                return Err(Fault::of(format_args!("unknown field `{name}`")).at(key));
            }
        }
        Ok(Fields { object, names })
    }
}

/// The elements that are left of an array.
struct Elements<'n>(&'n [Node]);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some((node, rest)) = self.0.split_first() else {
            return Ok(None);
        };
        self.0 = rest;
        Ok(Some(seed.deserialize(node).map_err(|fault| fault.at(node))?))
    }
}

/// The fields that are left of a struct, which are elements for serde.
struct Fields<'n> {
    object: &'n [(Node, Node)],
    names: &'static [&'static str],
}

impl Fields<'_> {
    fn visit<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let names = self.names;
        visitor.visit_seq(self).map_err(|fault| fault.of_field(names))
    }

    #[inline(never)]
    fn next(&mut self) -> Option<&Node> {
        let (name, rest) = self.names.split_first()?;
        self.names = rest;
        self.object
            .iter()
            .find(|(key, _)| matches!(&key.value, Value::Text(key) if key == name))
            .map(|(_, value)| value)
    }
}

impl<'de> SeqAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.next() else {
            return Ok(None);
        };
        Ok(Some(seed.deserialize(node).map_err(|fault| fault.at(node))?))
    }
}

impl Fault {
    /// Names the field that is missing, if that is what this is about.
    #[inline(never)]
    fn of_field(mut self, names: &[&str]) -> Self {
        if let (None, Some(name)) = (self.0.at, self.0.missing.and_then(|at| names.get(at))) {
            self.0.what = format!("missing field `{name}`");
        }
        self
    }
}

/// The entries that are left of a map.
struct Entries<'n>(&'n [(Node, Node)]);

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        match self.0.first() {
            Some((key, _)) => Ok(Some(seed.deserialize(key).map_err(|fault| fault.at(key))?)),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(((_, value), rest)) = self.0.split_first() else {
            return Err(Fault::of(format_args!("expected a value")));
        };
        self.0 = rest;
        seed.deserialize(value).map_err(|fault| fault.at(value))
    }
}

/// What belongs to the variant of an enum; nothing where that is a text.
struct Content<'n>(Option<&'n Node>);

impl<'n> Content<'n> {
    fn node(&self) -> Result<&'n Node, Fault> {
        self.0.ok_or_else(|| Fault::of(format_args!("expected an object")))
    }
}

/// An enum: its variant and what belongs to it.
struct Choice<'n> {
    variant: &'n Node,
    content: Content<'n>,
}

impl<'de, 'n> EnumAccess<'de> for Choice<'n> {
    type Error = Fault;
    type Variant = Content<'n>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'n>), Fault> {
        Ok((seed.deserialize(self.variant)?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.0 {
            None => Ok(()),
            Some(node) => Err(Fault::of(format_args!("expected a text alone")).at(node)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let node = self.node()?;
        seed.deserialize(node).map_err(|fault| fault.at(node))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.node()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        let node = self.node()?;
        node.fields(names).and_then(|fields| fields.visit(visitor)).map_err(|fault| fault.at(node))
    }
}

impl<'de> Deserializer<'de> for &Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Flag(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => visitor.visit_u64(*number),
            Value::Negative(number) => visitor.visit_i64(*number),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(list) => visitor.visit_seq(Elements(list)),
            Value::Object(object) => visitor.visit_map(Entries(object)),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Flag(flag) => visitor.visit_bool(flag),
            _ => Err(Fault::of(format_args!("expected true or false"))),
        }
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_u64(self.number()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Elements(self.list()?))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Fault> {
        let list = self.list()?;
        if list.len() != length {
            return Err(Fault::of(format_args!("expected an array of {length}")));
        }
        visitor.visit_seq(Elements(list))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(Entries(self.object()?))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.fields(names)?.visit(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let choice = match &self.value {
            Value::Text(_) => Choice { variant: self, content: Content(None) },
            Value::Object(object) if object.len() == 1 => {
                Choice { variant: &object[0].0, content: Content(Some(&object[0].1)) }
            }
            _ => return Err(Fault::of(format_args!("expected a text, or an object with one field"))),
        };
        visitor.visit_enum(choice)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple_struct ignored_any
    }
}
