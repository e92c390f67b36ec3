//! Reads the JSON that this server writes. As `serde_json` does, but without what the page has no use for: fractions,
//! structures written as arrays, and words for what is wrong. Those are in the code of every type that is read: without
//! them the wasm is 75 kB smaller before compression.

use std::fmt;

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Malformed> {
    let mut reader = Reader { text: std::str::from_utf8(text).map_err(|_| Malformed)?, depth: 0 };
    let value = T::deserialize(&mut reader)?;
    if reader.peek().is_some() { Err(Malformed) } else { Ok(value) }
}

/// It is no JSON, or not of the wanted shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is not what this page understands")
    }
}

impl std::error::Error for Malformed {}

impl de::Error for Malformed {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }

    fn invalid_type(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self
    }

    fn invalid_value(_: de::Unexpected<'_>, _: &dyn de::Expected) -> Self {
        Self
    }

    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self
    }

    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }

    fn missing_field(_: &'static str) -> Self {
        Self
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self
    }
}

/// Values in each other; what the server writes has less than ten.
const DEEPEST: u8 = 64;

struct Reader<'a> {
    /// What is left.
    text: &'a str,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.text = self.text.trim_ascii_start();
        self.text.as_bytes().first().copied()
    }

    fn take(&mut self, word: &str) -> Result<(), Malformed> {
        self.peek();
        self.text = self.text.strip_prefix(word).ok_or(Malformed)?;
        Ok(())
    }

    /// Before an item of a list or object: whether there is one.
    fn goes_on(&mut self, is_first: &mut bool, end: u8) -> Result<bool, Malformed> {
        if self.peek() == Some(end) {
            return Ok(false);
        }
        if !std::mem::replace(is_first, false) {
            self.take(",")?;
        }
        Ok(true)
    }

    fn deeper(&mut self, open: &str) -> Result<(), Malformed> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(Malformed) } else { self.take(open) }
    }

    fn back(&mut self, close: &str) -> Result<(), Malformed> {
        self.depth -= 1;
        self.take(close)
    }

    /// Its sign, and its amount.
    fn integer(&mut self) -> Result<(bool, u64), Malformed> {
        let is_negative = self.text.starts_with('-');
        let digits = &self.text[usize::from(is_negative)..];
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = digits.split_at(length);
        if rest.starts_with(['.', 'e', 'E']) {
            return Err(Malformed);
        }
        self.text = rest;
        Ok((is_negative, digits.parse().map_err(|_| Malformed)?))
    }

    fn string(&mut self) -> Result<String, Malformed> {
        self.take("\"")?;
        let mut read = String::new();
        loop {
            let end = self.text.find(['"', '\\']).ok_or(Malformed)?;
            let (plain, rest) = self.text.split_at(end);
            read.push_str(plain);
            self.text = &rest[1..];
            if rest.starts_with('"') {
                return Ok(read);
            }
            read.push(self.escaped()?);
        }
    }

    /// What stands behind a backslash.
    fn escaped(&mut self) -> Result<char, Malformed> {
        let kind = self.text.as_bytes().first().copied().ok_or(Malformed)?;
        let is = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                // Only control characters are written so: no pairs of surrogates come.
                let code = self.text.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
                self.text = self.text.get(5..).ok_or(Malformed)?;
                return code.and_then(char::from_u32).ok_or(Malformed);
            }
            _ => return Err(Malformed),
        };
        self.text = &self.text[1..];
        Ok(is)
    }
}

impl<'de> de::Deserializer<'de> for &mut Reader<'_> {
    type Error = Malformed;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        match self.peek().ok_or(Malformed)? {
            b'n' => self.take("null").and_then(|()| visitor.visit_unit()),
            b't' => self.take("true").and_then(|()| visitor.visit_bool(true)),
            b'f' => self.take("false").and_then(|()| visitor.visit_bool(false)),
            b'"' => visitor.visit_string(self.string()?),
            b'[' => self.deserialize_seq(visitor),
            b'{' => self.deserialize_map(visitor),
            _ => self.deserialize_i64(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        let is = self.peek() == Some(b't');
        self.take(if is { "true" } else { "false" })?;
        visitor.visit_bool(is)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.peek();
        match self.integer()? {
            (false, amount) => visitor.visit_u64(amount),
            (true, amount) => visitor.visit_i64(0i64.checked_sub_unsigned(amount).ok_or(Malformed)?),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_string(self.string()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        visitor.visit_str(&self.string()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        if self.peek() == Some(b'n') {
            self.take("null")?;
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.take("null")?;
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deeper("[")?;
        let value = visitor.visit_seq(Items { reader: self, is_first: true })?;
        self.back("]")?;
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deeper("{")?;
        let value = visitor.visit_map(Items { reader: self, is_first: true })?;
        self.back("}")?;
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        self.deserialize_map(visitor)
    }

    /// A word, or an object with the variant's name and what is in it.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        if self.peek() != Some(b'{') {
            let word = self.string()?;
            let word: StrDeserializer<'_, Malformed> = word.as_str().into_deserializer();
            return visitor.visit_enum(word);
        }
        self.deeper("{")?;
        let value = visitor.visit_enum(Variant { reader: self })?;
        self.back("}")?;
        Ok(value)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Malformed> {
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 u16 f32 f64 char bytes byte_buf unit_struct tuple_struct
    }
}

struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    is_first: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Malformed;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Malformed> {
        if !self.reader.goes_on(&mut self.is_first, b']')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Malformed;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Malformed> {
        if !self.reader.goes_on(&mut self.is_first, b'}')? {
            return Ok(None);
        }
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Malformed> {
        self.reader.take(":")?;
        seed.deserialize(&mut *self.reader)
    }
}

struct Variant<'r, 'a> {
    reader: &'r mut Reader<'a>,
}

impl<'de> EnumAccess<'de> for Variant<'_, '_> {
    type Error = Malformed;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Malformed> {
        let variant = seed.deserialize(&mut *self.reader)?;
        self.reader.take(":")?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_> {
    type Error = Malformed;

    fn unit_variant(self) -> Result<(), Malformed> {
        self.reader.take("null")
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Malformed> {
        seed.deserialize(self.reader)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Malformed> {
        de::Deserializer::deserialize_seq(self.reader, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Malformed> {
        de::Deserializer::deserialize_map(self.reader, visitor)
    }
}

#[cfg(test)]
mod tests;
