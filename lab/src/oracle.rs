//! What `spec/reachability.json` expects of two NATs of the model.

use pinhole_sim::Behaviour;
use pinhole_sim::nat::{Dependence, FreshPort, OnReset, PermissionScope, Unsolicited};
use serde_json::Value;

use crate::error::LabError;
use crate::trial::Over;

/// By which techniques two sides become direct; by none where they are relayed. A side without a behaviour is
/// public.
///
/// # Errors
///
/// [`LabError::NoSuch`] for a side that the file does not have.
pub fn techniques(a: Option<&Behaviour>, b: Option<&Behaviour>, over: Over) -> Result<Vec<String>, LabError> {
    let file = file()?;
    let rows = &file["transports"][over.name()];
    let (name_a, name_b) = (side(a, over), side(b, over));
    let unknown = |name: &str| LabError::NoSuch(format!("{name} in spec/reachability.json over {}", over.name()));
    let row = rows[&name_a].as_str().ok_or_else(|| unknown(&name_a))?;
    let column = sides(over).into_iter().position(|name| name == name_b).ok_or_else(|| unknown(&name_b))?;
    let letter = row.chars().nth(column).ok_or_else(|| unknown(&name_b))?.to_string();
    let techniques = file["outcomes"][&letter].as_array().ok_or_else(|| unknown(&letter))?;
    Ok(techniques.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect())
}

/// Whether peers use a technique unless their users say otherwise.
#[must_use]
pub fn is_default(technique: &str) -> bool {
    file().is_ok_and(|file| file["techniques"][technique]["default"] == true)
}

/// How probable it is that a technique makes a pair direct on quiet NATs.
#[must_use]
pub fn probability(technique: &str) -> Option<f64> {
    file().ok()?["techniques"][technique]["probability"].as_f64()
}

fn file() -> Result<Value, LabError> {
    serde_json::from_str(include_str!("../../spec/reachability.json"))
        .map_err(|error| LabError::io("read spec/reachability.json", std::io::Error::other(error)))
}

/// The sides in the order of the file: the n-th letter of a row stands for the n-th side.
fn sides(over: Over) -> Vec<String> {
    let reactions: &[&str] = if over == Over::Tcp { &["-drop", "-reset-kept", "-reset-forgotten"] } else { &[""] };
    let mut sides = vec!["public".to_owned()];
    for mapping in ["ei", "ad", "apd"] {
        for filtering in ["ei", "ad", "apd"] {
            for permission in ["mapping", "endpoint"] {
                for allocation in ["preserving", "sequential", "random"] {
                    let name = format!("{mapping}-{filtering}-{permission}-{allocation}");
                    sides.extend(reactions.iter().map(|reaction| format!("{name}{reaction}")));
                }
            }
        }
    }
    sides
}

/// The name that the file has for a side.
fn side(behaviour: Option<&Behaviour>, over: Over) -> String {
    let Some(behaviour) = behaviour else {
        return "public".to_owned();
    };
    let short = |dependence| match dependence {
        Dependence::EndpointIndependent => "ei",
        Dependence::AddressDependent => "ad",
        Dependence::AddressAndPortDependent => "apd",
    };
    let permission = match behaviour.permission {
        PermissionScope::Mapping => "mapping",
        PermissionScope::InternalEndpoint => "endpoint",
    };
    let allocation = match (behaviour.preserve_port, behaviour.fresh_port) {
        (true, _) => "preserving",
        (false, FreshPort::Sequential) => "sequential",
        (false, FreshPort::Random) => "random",
    };
    let mut name = format!("{}-{}-{permission}-{allocation}", short(behaviour.mapping), short(behaviour.filtering));
    if over == Over::Tcp {
        // A socket cannot tell an ICMP error from a RST; what comes after six seconds comes too late to matter.
        let refuses = matches!(behaviour.unsolicited_syn, Unsolicited::Reset | Unsolicited::Icmp);
        name += match (refuses, behaviour.reset) {
            (false, _) => "-drop",
            (true, OnReset::Keep) => "-reset-kept",
            (true, OnReset::Forget | OnReset::ForgetUnanswered) => "-reset-forgotten",
        };
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parser need not keep the order of an object's names, but the text has it.
    #[test]
    fn the_sides_stand_in_the_file_in_this_order() {
        let text = include_str!("../../spec/reachability.json");
        let (udp, tcp) = text.split_at(text.find("\"tcp\"").unwrap());
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        for (over, text, name) in [(Over::Udp, udp, "udp"), (Over::Tcp, tcp, "tcp")] {
            let places: Vec<_> = sides(over).iter().map(|name| text.find(&format!("\"{name}\":")).unwrap()).collect();
            assert!(places.is_sorted());
            assert_eq!(file["transports"][name].as_object().unwrap().len(), places.len());
        }
    }

    #[test]
    fn the_file_is_read_by_the_order_of_its_sides() {
        let cone = Behaviour::port_restricted();
        let symmetric = Behaviour::symmetric();
        let full = Behaviour::full_cone();
        for over in [Over::Udp, Over::Tcp] {
            let plain = |a, b| techniques(a, b, over).unwrap().contains(&"plain".to_owned());
            assert!(plain(Some(&cone), Some(&cone)));
            assert!(plain(None, Some(&symmetric)));
            assert!(plain(Some(&symmetric), Some(&full)));
            assert!(!plain(Some(&symmetric), Some(&cone)));
            assert!(!plain(Some(&symmetric), Some(&symmetric)));
        }
    }
}
