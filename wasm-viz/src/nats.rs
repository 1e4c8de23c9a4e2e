//! The NATs as things to change: every field of the model with what it may hold.

use pinhole_sim::Behaviour;
use pinhole_sim::nat::{Field, Value, Values};
use serde::Serialize;

use crate::text::Text;
use crate::words::literal;

/// A NAT and what may be changed about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NatView {
    /// The NAT.
    pub nat: String,
    /// The draft's name for how it behaves, where it has one.
    pub kind: Text,
    /// What decides whether peers reach each other through it: the vector behind the name.
    pub vector: Vec<Text>,
    /// Every field.
    pub fields: Vec<FieldView>,
}

/// A field of a NAT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldView {
    /// Its name in links and actions.
    pub id: &'static str,
    /// Its name for people.
    pub name: Text,
    /// The text that speaks of it.
    pub source: &'static str,
    /// What it holds, as an action writes it.
    pub value: String,
    /// The same for people.
    pub shown: Text,
    /// What it may hold, where that can be listed.
    pub values: Vec<Choice>,
    /// What it may hold, where it is a number.
    pub range: Option<(u64, u64)>,
    /// Whether it may hold nothing.
    pub optional: bool,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// As an action writes it.
    pub value: String,
    /// For people.
    pub name: Text,
}

/// A preset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preset {
    /// Its name in links.
    pub id: &'static str,
    /// Its name for people.
    pub name: Text,
}

/// Makes a behaviour.
pub type Make = fn() -> Behaviour;

/// The draft's kinds of NAT.
pub const PRESETS: [(&str, Make); 6] = [
    ("full-cone", Behaviour::full_cone),
    ("restricted-cone", Behaviour::address_restricted),
    ("port-restricted-cone", Behaviour::port_restricted),
    ("symmetric-sequential", || Behaviour::symmetric_sequential(62_000)),
    ("symmetric", Behaviour::symmetric),
    ("firewall", Behaviour::firewall),
];

/// The fields that a preset's name stands for.
const VECTOR: [&str; 4] = ["mapping", "filtering", "fresh-port", "hairpin"];

/// The presets.
#[must_use]
pub fn presets() -> Vec<Preset> {
    PRESETS.iter().map(|(id, _)| Preset { id, name: Text::of(format!("preset.{id}")) }).collect()
}

/// A NAT's view.
#[must_use]
pub fn view(nat: &str, behaviour: &Behaviour) -> NatView {
    let same = |preset: &Behaviour| {
        let deciding = ["translation", "mapping", "filtering", "permission"];
        let random =
            |behaviour| get(behaviour, "mapping") != "endpoint-independent" && get(behaviour, "fresh-port") == "random";
        deciding.iter().all(|field| get(preset, field) == get(behaviour, field)) && random(preset) == random(behaviour)
    };
    let kind = PRESETS.iter().find(|(_, preset)| same(&preset())).map_or("other", |(id, _)| id);
    NatView {
        nat: nat.to_owned(),
        kind: Text::of(format!("preset.{kind}")),
        vector: VECTOR
            .iter()
            .map(|field| {
                let value = value(field, &get(behaviour, field));
                Text::of("nat.setting").with_text("field", Text::of(format!("field.{field}"))).with_text("value", value)
            })
            .collect(),
        fields: Behaviour::FIELDS.iter().map(|field| field_view(field, behaviour)).collect(),
    }
}

/// What a field of a behaviour holds, as an action writes it.
#[must_use]
pub fn get(behaviour: &Behaviour, name: &str) -> String {
    let field = Behaviour::FIELDS.iter().find(|field| field.name == name);
    field.map_or_else(String::new, |field| written(field.get(behaviour)))
}

/// A value of a field in words.
#[must_use]
pub fn value(field: &str, value: &str) -> Text {
    let values = Behaviour::FIELDS.iter().find(|known| known.name == field).map(Field::values);
    match values {
        Some(Values::OneOf(_)) => Text::of(format!("value.{field}.{value}")),
        Some(Values::Flag) => Text::of(format!("flag.{value}")),
        _ if value == "none" => Text::of("value.nothing"),
        _ => literal(value),
    }
}

fn field_view(field: &Field, behaviour: &Behaviour) -> FieldView {
    let held = written(field.get(behaviour));
    let choice = |text: &str| Choice { value: text.to_owned(), name: value(field.name, text) };
    let (values, range, optional) = match field.values() {
        Values::Flag => (vec![choice("true"), choice("false")], None, false),
        Values::OneOf(names) => (names.iter().map(|name| choice(name)).collect(), None, false),
        Values::Number(low, high) => (Vec::new(), Some((low, high)), false),
        Values::NumberOrNothing(low, high) => (Vec::new(), Some((low, high)), true),
        Values::Ports => (Vec::new(), None, false),
        Values::PortsOrNothing => (Vec::new(), None, true),
    };
    FieldView {
        id: field.name,
        name: Text::of(format!("field.{}", field.name)),
        source: field.source,
        shown: value(field.name, &held),
        value: held,
        values,
        range,
        optional,
    }
}

fn written(value: Value<'_>) -> String {
    value.to_string()
}
