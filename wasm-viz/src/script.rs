//! What is done to a world, in words.

use pinhole_proto::wire::code::Strategy;
use pinhole_sim::Effect;
use pinhole_sim::action::Action;

use crate::text::Text;
use crate::words::{key_of, word};

/// What an action does.
#[must_use]
pub fn action(action: &Action) -> Text {
    // The tag of the action's JSON, which begins with `{"do":"name"`, is the end of the key.
    let text = Text::of(format!("action.{}", word(action, 3)));
    match action {
        Action::Wait { ms } => text.with("ms", ms),
        Action::Connect { host, to, transport } => {
            let text = text.with("host", host).with("to", to);
            transport.iter().fold(text, |text, transport| text.with("transport", key_of(transport)))
        }
        Action::Send { host, to, text: octets } => text.with("host", host).with("to", to).with("octets", octets),
        Action::Write { host, to, octets } => text.with("host", host).with("to", to).with("octets", octets),
        Action::Finish { host, to } | Action::Take { host, to } | Action::Close { host, to } => {
            text.with("host", host).with("to", to)
        }
        Action::Shutdown { host }
        | Action::Stop { host }
        | Action::Start { host }
        | Action::SetCrossing { host, .. } => text.with("host", host),
        Action::Move { host, realm, .. } => text.with("host", host).with("realm", realm),
        Action::SetStrategies { host, strategies } => {
            let names: Vec<_> = strategies.iter().map(Strategy::name).collect();
            text.with("host", host).with("strategies", names.join(", "))
        }
        Action::SetNat { nat, .. } | Action::Reboot { nat } => text.with("nat", nat),
        Action::SetField { nat, field, value } => text
            .with("nat", nat)
            .with_text("field", Text::of(format!("field.{field}")))
            .with_text("value", crate::nats::value(field, value)),
        Action::Cut { machine } | Action::Restore { machine } | Action::SetLine { machine, .. } => {
            text.with("machine", machine)
        }
        Action::Fault(found) => match found.pick.journey {
            Some(journey) => fault(found.effect).with("packet", journey.0 + 1),
            None => fault(found.effect).with_text("packet", Text::of("packet.none")),
        },
        Action::Datagram { host, to, text: octets, .. } => {
            text.with("host", host).with("to", to).with("octets", octets)
        }
        Action::Dial { host, to, .. } => text.with("host", host).with("to", to),
        Action::Say { host, text: octets, .. } => text.with("host", host).with("octets", octets),
        Action::HangUp { host, .. } => text.with("host", host),
        Action::Compete { host, count, .. } => text.with("host", host).with("count", count),
    }
}

/// What a fault does to its packet, which is still to be named.
#[must_use]
pub fn fault(effect: Effect) -> Text {
    let text = Text::of(format!("fault.{}", key_of(&effect)));
    match effect {
        Effect::Delay { ms } | Effect::Duplicate { ms } | Effect::Reorder { ms } => text.with("ms", ms),
        Effect::Corrupt { at, .. } => text.with("at", at),
        Effect::Drop => text,
    }
}
