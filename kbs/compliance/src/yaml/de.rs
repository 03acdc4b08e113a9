//! From a tree to a typed value, with the line in each error.

use super::{Key, Node, Value};
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use std::fmt;

/// A value that is not what its place calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Line, from 1; 0 where none is known.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { line: 0, message: message.to_string() }
    }
}

impl DecodeError {
    fn at(mut self, line: usize) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }
}

/// Reads a typed value from a tree. Enums are a key with a value, or a name alone for a variant without one.
///
/// # Errors
///
/// [`DecodeError`], for the first thing that is not as the type has it.
pub fn decode<T: DeserializeOwned>(node: &Node) -> Result<T, DecodeError> {
    T::deserialize(node)
}

macro_rules! integers {
    ($($name:ident: $kind:ty, $visit:ident;)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.text().and_then(|text| text.parse::<$kind>().ok()) {
                Some(number) => visitor.$visit(number),
                None => self.deserialize_any(visitor),
            }
            .map_err(|error: DecodeError| error.at(self.line))
        })*
    };
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar { .. } if self.is_null() => visitor.visit_unit(),
            Value::Scalar { text, quoted: true } => visitor.visit_borrowed_str(text),
            Value::Scalar { text, quoted: false } => match text.as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                text => visitor.visit_borrowed_str(text),
            },
            Value::Sequence(items) => visitor.visit_seq(Items { items: items.iter() }),
            Value::Mapping(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        }
        .map_err(|error: DecodeError| error.at(self.line))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => {
                visitor.visit_borrowed_str(text).map_err(|error: DecodeError| error.at(self.line))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self).map_err(|error: DecodeError| error.at(self.line))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let variant = match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => {
                Variant { name: text, line: self.line, value: None }
            }
            Value::Mapping(entries) if entries.len() == 1 => match entries.first() {
                Some((key, value)) => Variant { name: &key.text, line: key.line, value: Some(value) },
                None => return self.deserialize_any(visitor),
            },
            _ => {
                let message = format!("expected one of {}, with its value", variants.join(", "));
                return Err(DecodeError { line: self.line, message });
            }
        };
        visitor.visit_enum(variant).map_err(|error: DecodeError| error.at(self.line))
    }

    integers! {
        deserialize_i8: i8, visit_i8;
        deserialize_i16: i16, visit_i16;
        deserialize_i32: i32, visit_i32;
        deserialize_i64: i64, visit_i64;
        deserialize_u8: u8, visit_u8;
        deserialize_u16: u16, visit_u16;
        deserialize_u32: u32, visit_u32;
        deserialize_u64: u64, visit_u64;
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
}

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.items.next().map(|item| seed.deserialize(item)).transpose()
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, (Key, Node)>,
    value: Option<&'de Node>,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, DecodeError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        let name: StrDeserializer<'_, DecodeError> = key.text.as_str().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|error| error.at(key.line))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, DecodeError> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

struct Variant<'de> {
    name: &'de str,
    line: usize,
    value: Option<&'de Node>,
}

impl<'de> de::EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.name.into_deserializer();
        let value = seed.deserialize(name).map_err(|error| error.at(self.line))?;
        Ok((value, self))
    }
}

impl<'de> Variant<'de> {
    fn value(&self) -> Result<&'de Node, DecodeError> {
        let message = || format!("{:?} needs a value", self.name);
        self.value.ok_or_else(|| DecodeError { line: self.line, message: message() })
    }
}

impl<'de> de::VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.value {
            Some(value) if !value.is_null() => {
                Err(DecodeError { line: value.line, message: format!("{:?} takes no value", self.name) })
            }
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, DecodeError> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DecodeError> {
        self.value()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.value()?.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    enum Rule {
        Nothing,
        FileMode {
            path: String,
            mode: u16,
            #[serde(default)]
            strict: bool,
        },
        Names(Vec<String>),
    }

    fn read(text: &str) -> Result<Vec<Rule>, DecodeError> {
        decode(&parse(text.as_bytes()).unwrap())
    }

    #[test]
    fn typed_values_are_read() {
        let text =
            "- nothing\n- file-mode: {path: \"1\", mode: 7, strict: true}\n- names: [1, true, \"~\"]\n";
        let file_mode = Rule::FileMode { path: "1".into(), mode: 7, strict: true };
        let names = ["1", "true", "~"].map(str::to_owned).to_vec();
        assert_eq!(read(text), Ok(vec![Rule::Nothing, file_mode, Rule::Names(names)]));
    }

    #[test]
    fn each_mistake_names_its_line() {
        for (text, line, part) in [
            ("- nothing\n- file-mode:\n    path: /a\n    mood: 1\n", 4, "unknown field `mood`"),
            ("- nothing\n- file-mode:\n    path: /a\n    mode: x\n", 4, "expected u16"),
            ("- nothing\n- file-mode:\n    path: /a\n", 3, "missing field `mode`"),
            ("- file-mood: {}\n", 1, "unknown variant `file-mood`"),
            ("- nothing: 1\n", 1, "takes no value"),
            ("- names\n", 1, "needs a value"),
            ("- nothing\n- [a]\n", 2, "expected one of"),
            ("- names: [[a]]\n", 1, "invalid type"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(part), "{text}: {error}");
        }
    }
}
