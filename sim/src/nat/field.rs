//! The fields of a behaviour as data: names, possible values, reading and writing one by its name.

use core::fmt;

use pinhole_proto::Duration;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{SerializeMap as _, Serializer};
use serde::{Deserialize, Serialize};

use super::behaviour::Behaviour;

/// One field of [`Behaviour`].
#[derive(Debug)]
pub struct Field {
    /// Its name in JSON and on command lines.
    pub name: &'static str,
    /// The text that speaks of it.
    pub source: &'static str,
    pub(super) lens: Lens,
    /// Values worth trying where there are too many to try all.
    pub(super) samples: &'static [Value<'static>],
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// Yes or no.
    Flag,
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// A number between these two, in milliseconds where the field's name ends in `-ms`.
    Number(u64, u64),
    /// The same, or nothing.
    NumberOrNothing(u64, u64),
    /// A lowest and a highest port.
    Ports,
    /// The same, or nothing.
    PortsOrNothing,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Nothing,
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u64),
    /// A name.
    Name(&'a str),
    /// A lowest and a highest port.
    Ports(u16, u16),
}

/// Where a field is, and of which type.
#[derive(Debug)]
pub(super) enum Lens {
    Flag(fn(&mut Behaviour) -> &mut bool),
    Choice { names: &'static [&'static str], get: fn(&Behaviour) -> usize, set: fn(&mut Behaviour, usize) },
    Number16(fn(&mut Behaviour) -> &mut u16),
    MaybeNumber16(fn(&mut Behaviour) -> &mut Option<u16>),
    Number32(fn(&mut Behaviour) -> &mut u32),
    Span(u64, fn(&mut Behaviour) -> &mut Duration),
    MaybeSpan(fn(&mut Behaviour) -> &mut Option<Duration>),
    Ports(fn(&mut Behaviour) -> &mut (u16, u16)),
    MaybePorts(fn(&mut Behaviour) -> &mut Option<(u16, u16)>),
}

/// Why a value did not go into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// No field has this name.
    NoSuchField,
    /// The field does not take this value; these are what it takes.
    NoSuchValue(&'static str, Values),
}

/// A behaviour that no NAT can have, by the field at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senseless {
    /// The lowest port of a range is above the highest.
    PortsReversed(&'static str),
    /// A span of time is zero, or longer than [`MAX_SPAN`].
    SpanOutOfRange(&'static str),
    /// A span of time is no whole number of milliseconds.
    SpanNotWhole(&'static str),
    /// A number is below or above what the field takes.
    NumberOutOfRange(&'static str),
    /// The first port of sequential allocation is none of the NAT's ports.
    FirstPortOutside,
}

/// The longest time that a field takes: ten years.
pub const MAX_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

impl Field {
    /// What it may hold.
    #[must_use]
    pub const fn values(&self) -> Values {
        match &self.lens {
            Lens::Flag(_) => Values::Flag,
            Lens::Choice { names, .. } => Values::OneOf(names),
            Lens::Number16(_) => Values::Number(1, 65_535),
            Lens::MaybeNumber16(_) => Values::NumberOrNothing(1, 65_535),
            Lens::Number32(_) => Values::Number(1, MAX_COUNT),
            Lens::Span(low, _) => Values::Number(*low, MAX_MILLIS),
            Lens::MaybeSpan(_) => Values::NumberOrNothing(1, MAX_MILLIS),
            Lens::Ports(_) => Values::Ports,
            Lens::MaybePorts(_) => Values::PortsOrNothing,
        }
    }

    /// Every value where they are few, else some that differ in what they do; for tests and random worlds.
    pub fn samples(&self) -> impl Iterator<Item = Value<'static>> {
        let (flags, names): (&[bool], &[&str]) = match &self.lens {
            Lens::Flag(_) => (&[false, true], &[]),
            Lens::Choice { names, .. } => (&[], names),
            Lens::Number16(_)
            | Lens::MaybeNumber16(_)
            | Lens::Number32(_)
            | Lens::Span(..)
            | Lens::MaybeSpan(_)
            | Lens::Ports(_)
            | Lens::MaybePorts(_) => (&[], &[]),
        };
        let flags = flags.iter().copied().map(Value::Flag);
        flags.chain(names.iter().copied().map(Value::Name)).chain(self.samples.iter().copied())
    }

    /// What a behaviour has here.
    #[must_use]
    pub fn get(&self, behaviour: &Behaviour) -> Value<'static> {
        let mut copy = *behaviour;
        match &self.lens {
            Lens::Flag(at) => Value::Flag(*at(&mut copy)),
            Lens::Choice { names, get, .. } => Value::Name(names[get(behaviour)]),
            Lens::Number16(at) => Value::Number(u64::from(*at(&mut copy))),
            Lens::MaybeNumber16(at) => at(&mut copy).map_or(Value::Nothing, |number| Value::Number(u64::from(number))),
            Lens::Number32(at) => Value::Number(u64::from(*at(&mut copy))),
            Lens::Span(_, at) => Value::Number(millis(*at(&mut copy))),
            Lens::MaybeSpan(at) => at(&mut copy).map_or(Value::Nothing, |span| Value::Number(millis(span))),
            Lens::Ports(at) => {
                let (low, high) = *at(&mut copy);
                Value::Ports(low, high)
            }
            Lens::MaybePorts(at) => at(&mut copy).map_or(Value::Nothing, |(low, high)| Value::Ports(low, high)),
        }
    }

    /// Changes it in a behaviour.
    ///
    /// # Errors
    /// [`FieldError::NoSuchValue`], and nothing is changed.
    pub fn set(&self, behaviour: &mut Behaviour, value: Value<'_>) -> Result<(), FieldError> {
        let error = FieldError::NoSuchValue(self.name, self.values());
        match (&self.lens, value) {
            (Lens::Flag(at), Value::Flag(flag)) => *at(behaviour) = flag,
            (Lens::Choice { names, set, .. }, Value::Name(name)) => {
                set(behaviour, names.iter().position(|known| *known == name).ok_or(error)?);
            }
            (Lens::Number16(at), Value::Number(number @ 1..=65_535)) => {
                *at(behaviour) = u16::try_from(number).map_err(|_| error)?;
            }
            (Lens::MaybeNumber16(at), Value::Number(number @ 1..=65_535)) => {
                *at(behaviour) = Some(u16::try_from(number).map_err(|_| error)?);
            }
            (Lens::MaybeNumber16(at), Value::Nothing) => *at(behaviour) = None,
            (Lens::Number32(at), Value::Number(number @ 1..=MAX_COUNT)) => {
                *at(behaviour) = u32::try_from(number).map_err(|_| error)?;
            }
            (Lens::MaybePorts(at), Value::Ports(low, high)) if low <= high => *at(behaviour) = Some((low, high)),
            (Lens::MaybePorts(at), Value::Nothing) => *at(behaviour) = None,
            (Lens::Span(low, at), Value::Number(number)) if (*low..=MAX_MILLIS).contains(&number) => {
                *at(behaviour) = Duration::from_millis(number);
            }
            (Lens::MaybeSpan(at), Value::Number(number @ 1..=MAX_MILLIS)) => {
                *at(behaviour) = Some(Duration::from_millis(number));
            }
            (Lens::MaybeSpan(at), Value::Nothing) => *at(behaviour) = None,
            (Lens::Ports(at), Value::Ports(low, high)) if low <= high => *at(behaviour) = (low, high),
            (
                Lens::Flag(_)
                | Lens::Choice { .. }
                | Lens::Number16(_)
                | Lens::MaybeNumber16(_)
                | Lens::Number32(_)
                | Lens::Span(..)
                | Lens::MaybeSpan(_)
                | Lens::Ports(_)
                | Lens::MaybePorts(_),
                _,
            ) => return Err(error),
        }
        Ok(())
    }

    fn check(&self, behaviour: &Behaviour) -> Result<(), Senseless> {
        let mut copy = *behaviour;
        let span = |span: Duration, low: u64| {
            if span < Duration::from_millis(low) || span > MAX_SPAN {
                return Err(Senseless::SpanOutOfRange(self.name));
            }
            if !span.subsec_nanos().is_multiple_of(1_000_000) {
                return Err(Senseless::SpanNotWhole(self.name));
            }
            Ok(())
        };
        match &self.lens {
            Lens::Flag(_) | Lens::Choice { .. } => Ok(()),
            Lens::Number16(at) if *at(&mut copy) == 0 => Err(Senseless::NumberOutOfRange(self.name)),
            Lens::MaybeNumber16(at) if *at(&mut copy) == Some(0) => Err(Senseless::NumberOutOfRange(self.name)),
            Lens::Number32(at) if !(1..=MAX_COUNT).contains(&u64::from(*at(&mut copy))) => {
                Err(Senseless::NumberOutOfRange(self.name))
            }
            Lens::MaybePorts(at) if at(&mut copy).is_some_and(|(low, high)| low > high) => {
                Err(Senseless::PortsReversed(self.name))
            }
            Lens::Number16(_) | Lens::MaybeNumber16(_) | Lens::Number32(_) | Lens::MaybePorts(_) => Ok(()),
            Lens::Span(low, at) => span(*at(&mut copy), *low),
            Lens::MaybeSpan(at) => at(&mut copy).map_or(Ok(()), |given| span(given, 1)),
            Lens::Ports(at) if at(&mut copy).0 > at(&mut copy).1 => Err(Senseless::PortsReversed(self.name)),
            Lens::Ports(_) => Ok(()),
        }
    }
}

impl Behaviour {
    /// The field of a name.
    #[must_use]
    pub fn field(name: &str) -> Option<&'static Field> {
        Self::FIELDS.iter().find(|field| field.name == name)
    }

    /// Changes one field, as `udp-idle-ms` and `20000`, or `hairpin` and `external-source`; ports are
    /// written `1024-65535`, nothing is written `none`.
    ///
    /// # Errors
    /// [`FieldError`], and nothing is changed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FieldError> {
        let field = Self::field(name).ok_or(FieldError::NoSuchField)?;
        field.set(self, Value::parse(field.values(), value))
    }

    /// Whether a NAT can be so.
    ///
    /// # Errors
    /// The first thing that is senseless.
    pub fn check(&self) -> Result<(), Senseless> {
        for field in Self::FIELDS {
            field.check(self)?;
        }
        if self.first_port < self.ports.0 || self.first_port > self.ports.1 {
            return Err(Senseless::FirstPortOutside);
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    fn parse(values: Values, text: &'a str) -> Self {
        let number = || text.parse().map_or(Value::Name(text), Value::Number);
        let ports = || {
            let (low, high) = text.split_once('-')?;
            Some(Value::Ports(low.parse().ok()?, high.parse().ok()?))
        };
        match values {
            Values::Flag => text.parse().map_or(Value::Name(text), Value::Flag),
            Values::OneOf(_) => Value::Name(text),
            Values::NumberOrNothing(..) | Values::PortsOrNothing if text == "none" => Value::Nothing,
            Values::Number(..) | Values::NumberOrNothing(..) => number(),
            Values::Ports | Values::PortsOrNothing => ports().unwrap_or(Value::Name(text)),
        }
    }
}

impl fmt::Display for Value<'_> {
    /// As [`Behaviour::set`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("none"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
            Self::Ports(low, high) => write!(f, "{low}-{high}"),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_none(),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Name(name) => serializer.serialize_str(name),
            Self::Ports(low, high) => (low, high).serialize(serializer),
        }
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("name", self.name)?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry("values", &self.values())?;
        map.serialize_entry("default", &self.get(&Behaviour::default()))?;
        map.end()
    }
}

impl Serialize for Behaviour {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.check().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(Self::FIELDS.len()))?;
        for field in Self::FIELDS {
            map.serialize_entry(field.name, &field.get(self))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Behaviour {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

/// The object that a behaviour is in JSON.
struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Behaviour;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of the fields of a NAT's behaviour")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Behaviour, A::Error> {
        let mut behaviour = Behaviour::default();
        let mut seen = alloc::collections::BTreeSet::new();
        while let Some(name) = map.next_key::<alloc::string::String>()? {
            let field = Behaviour::field(&name)
                .ok_or_else(|| A::Error::custom(format_args!("unknown field `{name}` of a NAT's behaviour")))?;
            if !seen.insert(field.name) {
                return Err(A::Error::duplicate_field(field.name));
            }
            map.next_value_seed(Slot { field, behaviour: &mut behaviour })?;
        }
        behaviour.check().map_err(A::Error::custom)?;
        Ok(behaviour)
    }
}

/// A field that waits for its value.
struct Slot<'b> {
    field: &'static Field,
    behaviour: &'b mut Behaviour,
}

impl Slot<'_> {
    fn put<E: serde::de::Error>(self, value: Value<'_>) -> Result<(), E> {
        self.field.set(self.behaviour, value).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for `{}`", self.field.values(), self.field.name)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.put(Value::Nothing)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<(), E> {
        self.put(Value::Flag(flag))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        self.put(Value::Number(number))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        let number = u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))?;
        self.put(Value::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        self.put(Value::Name(name))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let low = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let high = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        if seq.next_element::<u16>()?.is_some() {
            return Err(A::Error::invalid_length(3, &self));
        }
        self.put(Value::Ports(low, high))
    }
}

impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("true or false"),
            Self::OneOf(names) => {
                for (index, name) in names.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    f.write_str(name)?;
                }
                Ok(())
            }
            Self::Number(low, high) => write!(f, "a number from {low} to {high}"),
            Self::NumberOrNothing(low, high) => write!(f, "a number from {low} to {high}, or none"),
            Self::Ports => f.write_str("a lowest and a highest port"),
            Self::PortsOrNothing => f.write_str("a lowest and a highest port, or none"),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchField => f.write_str("a NAT's behaviour has no such field"),
            Self::NoSuchValue(name, values) => write!(f, "`{name}` takes {values}"),
        }
    }
}

impl fmt::Display for Senseless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortsReversed(name) => write!(f, "the lowest of `{name}` is above the highest"),
            Self::SpanOutOfRange(name) => write!(f, "`{name}` is shorter or longer than it may be"),
            Self::SpanNotWhole(name) => write!(f, "`{name}` is no whole number of milliseconds"),
            Self::NumberOutOfRange(name) => write!(f, "`{name}` is less or more than it may be"),
            Self::FirstPortOutside => f.write_str("`first-port` is none of `ports`"),
        }
    }
}

impl core::error::Error for FieldError {}
impl core::error::Error for Senseless {}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The most mappings that a field allows.
const MAX_COUNT: u64 = 1 << 20;
const MAX_MILLIS: u64 = MAX_SPAN.as_secs() * 1000;
