//! A struct is a JSON object.
//!
//! serde reads a struct from a list of its fields too, in their order: `[[null, "old", 3]]` would
//! be a list of retention rules, and a change of that order would change what it asks for. The
//! OpenAPI document says "object", so nothing else is taken.

use serde::{
    de::{
        DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};

/// A body's value, each struct in it from an object.
///
/// # Errors
/// Not JSON, or not that type; what is wrong with a value also says in which line and column.
pub(crate) fn from_slice<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    // First for its positions, which a value in memory no longer has.
    serde_json::from_slice::<T>(json)?;
    T::deserialize(Strict(serde_json::from_slice(json)?))
}

struct Strict(Value);

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(values) => {
                visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Strict)))
            }
            Value::Object(fields) => visitor.visit_map(MapDeserializer::new(
                fields.into_iter().map(|(name, value)| (name, Strict(value))),
            )),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.0.is_array() {
            return Err(Error::custom("expected an object, found a list"));
        }
        self.deserialize_any(visitor)
    }

    /// A variant without data is its name, never `{"name": null}`.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Object(fields) = &self.0
            && fields.values().any(Value::is_null)
        {
            return Err(Error::custom("expected a text, found an object"));
        }
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Old,
        New,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        a: Option<u8>,
        kind: Option<Kind>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Outer {
        list: Vec<Inner>,
        named: Option<BTreeMap<String, Inner>>,
        plain: Option<(u8, String, f64)>,
        any: Option<Value>,
    }

    #[test]
    fn a_struct_comes_from_an_object_wherever_it_stands() {
        let whole = r#"{"list": [{"a": 1, "kind": "old"}, {}], "named": {"x": {"a": null}},
                        "plain": [1, "b", 0.25], "any": [[null], {"b": [1]}]}"#;
        let there = from_slice::<Outer>(whole.as_bytes()).unwrap();
        assert_eq!(there, serde_json::from_str::<Outer>(whole).unwrap());
        for bad in [
            "[[]]",
            r#"{"list": [[1, "old"]]}"#,
            r#"{"list": [], "named": {"x": [null, null]}}"#,
            r#"{"list": [{"kind": {"new": null}}]}"#,
        ] {
            from_slice::<Outer>(bad.as_bytes()).unwrap_err();
        }
        let error = from_slice::<Outer>(br#"{"list": 3}"#).unwrap_err();
        assert!(error.to_string().contains("line 1 column"), "{error}");
    }
}
