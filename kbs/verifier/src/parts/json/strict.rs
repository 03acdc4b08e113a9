//! A deserializer around a deserializer: it hands everything through but what evidence may not have.

use super::{MAX_DEPTH, MAX_ELEMENTS, MAX_NODES};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// The budget of one text.
pub(super) struct Walk {
    left: usize,
    elements: usize,
    arrays_below: Option<&'static str>,
    spent: Option<String>,
}

impl Walk {
    /// Below the object with the name `arrays_below`, wherever it is, arrays are taken.
    pub(super) fn new(arrays_below: Option<&'static str>) -> Self {
        Self { left: MAX_NODES, elements: MAX_ELEMENTS, arrays_below, spent: None }
    }

    /// Which budget, once it is spent.
    pub(super) fn spent(self) -> Option<String> {
        self.spent
    }

    fn spend<E: Error>(&mut self) -> Result<(), E> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.over(format!("more than {MAX_NODES} keys and values"))),
        }
    }

    fn spend_element<E: Error>(&mut self) -> Result<(), E> {
        match self.elements.checked_sub(1) {
            Some(left) => {
                self.elements = left;
                Ok(())
            }
            None => Err(self.over(format!("more than {MAX_ELEMENTS} array elements"))),
        }
    }

    fn over<E: Error>(&mut self, what: String) -> E {
        let error = E::custom(&what);
        self.spent = Some(what);
        error
    }
}

/// One value, inside `depth` objects: the deserializer of it, the visitor for it, or the seed that it grows from.
pub(super) struct Strict<'w, T> {
    inner: T,
    walk: &'w mut Walk,
    depth: usize,
    arrays: Arrays,
}

/// Whether arrays are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrays {
    /// Neither here nor below.
    Refused,
    /// Not here, but below, if this is an object.
    Below,
    /// Here and below.
    Taken,
}

impl<'w, T> Strict<'w, T> {
    /// The whole text, which has to be an object.
    pub(super) fn root(inner: T, walk: &'w mut Walk) -> Self {
        Self { inner, walk, depth: 0, arrays: Arrays::Refused }
    }

    /// Reads it, and counts it.
    pub(super) fn value<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, T::Error>
    where
        T: Deserializer<'de>,
    {
        self.walk.spend()?;
        seed.deserialize(self)
    }

    fn take<U>(self, inner: U) -> (T, Strict<'w, U>) {
        (self.inner, Strict { inner, walk: self.walk, depth: self.depth, arrays: self.arrays })
    }
}

macro_rules! scalars {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            if self.depth == 0 {
                return self.deserialize_map(visitor);
            }
            let (inner, visitor) = self.take(visitor);
            inner.$name(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    scalars! {
        deserialize_any deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_identifier
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64 deserialize_f32 deserialize_f64 deserialize_unit deserialize_option
    }

    // An array could stand for any of these, and what is inside an enum would be read past this deserializer.
    forward_to_deserialize_any! { bytes byte_buf unit_struct seq tuple tuple_struct enum i128 u128 }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let (inner, visitor) = self.take(visitor);
        inner.deserialize_map(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    /// Not the inner one's way of ignoring, which looks at less.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_any(visitor)
    }
}

macro_rules! visits {
    ($($name:ident: $value:ty;)*) => {
        $(fn $name<E: Error>(self, value: $value) -> Result<V::Value, E> {
            self.inner.$name(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.depth == 0 { f.write_str("an object") } else { self.inner.expecting(f) }
    }

    visits! {
        visit_bool: bool;
        visit_i64: i64;
        visit_u64: u64;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let (visitor, deserializer) = self.take(deserializer);
        visitor.visit_some(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, walk, depth, arrays } = self;
        if arrays != Arrays::Taken {
            return Err(A::Error::custom("an array, where evidence has none"));
        }
        if depth == MAX_DEPTH {
            return Err(walk.over(format!("more than {MAX_DEPTH} objects or arrays inside each other")));
        }
        visitor.visit_seq(List { inner, walk, depth: depth + 1 })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let Self { inner: visitor, walk, depth, arrays } = self;
        if depth == MAX_DEPTH {
            return Err(walk.over(format!("more than {MAX_DEPTH} objects or arrays inside each other")));
        }
        let inside = if arrays == Arrays::Refused { Arrays::Refused } else { Arrays::Taken };
        visitor.visit_map(Object {
            inner,
            walk,
            depth: depth + 1,
            inside,
            arrays: inside,
            seen: HashSet::new(),
        })
    }
}

/// The entries of one object.
struct Object<'w, 'de, A> {
    inner: A,
    walk: &'w mut Walk,
    depth: usize,
    /// What holds for all of its values...
    inside: Arrays,
    /// ...and for the next.
    arrays: Arrays,
    seen: HashSet<Cow<'de, str>>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Object<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.inner.next_key_seed(Name)? else { return Ok(None) };
        self.walk.spend()?;
        if self.seen.contains(&key) {
            return Err(A::Error::custom(format_args!("key {key:?} twice")));
        }
        let opens = self.inside == Arrays::Refused && self.walk.arrays_below == Some(key.as_ref());
        self.arrays = if opens { Arrays::Below } else { self.inside };
        self.seen.insert(key.clone());
        seed.deserialize(Key { name: key, error: std::marker::PhantomData }).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let (walk, depth, arrays) = (&mut *self.walk, self.depth, self.arrays);
        self.inner.next_value_seed(Strict { inner: seed, walk, depth, arrays })
    }
}

/// The elements of one array.
struct List<'w, A> {
    inner: A,
    walk: &'w mut Walk,
    depth: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for List<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let (walk, depth) = (&mut *self.walk, self.depth);
        self.inner.next_element_seed(Element(Strict { inner: seed, walk, depth, arrays: Arrays::Taken }))
    }
}

/// A value in an array, which has a budget of its own.
struct Element<'w, S>(Strict<'w, S>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Element<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.0.walk.spend_element()?;
        let (seed, deserializer) = self.0.take(deserializer);
        seed.deserialize(deserializer)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let (seed, deserializer) = self.take(deserializer);
        deserializer.value(seed)
    }
}

/// Reads the name of an entry, without a copy where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A name that was read, for whoever wants it as text or as a number.
struct Key<'de, E> {
    name: Cow<'de, str>,
    error: std::marker::PhantomData<E>,
}

macro_rules! numbers {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
            match self.number() {
                Some(number) => visitor.visit_u64(number),
                None => self.deserialize_any(visitor),
            }
        })*
    };
}

impl<E> Key<'_, E> {
    /// In decimal digits, without a zero in front.
    fn number(&self) -> Option<u64> {
        self.name.parse().ok().filter(|number: &u64| number.to_string() == self.name)
    }
}

impl<'de, E: Error> Deserializer<'de> for Key<'de, E> {
    type Error = E;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, E> {
        match self.name {
            Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
            Cow::Owned(name) => {
                let name: StrDeserializer<'_, E> = name.as_str().into_deserializer();
                name.deserialize_any(visitor)
            }
        }
    }

    numbers! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, E> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct
        map struct enum identifier ignored_any
    }
}
