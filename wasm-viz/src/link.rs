//! Address fragments: everything that a link restores, `#v=1&s=f5-udp-hole-punching&i=17&…`.
//!
//! Keys that people edit are readable; edits are JSON in base64url. Links are kept for ever: a key never
//! changes its meaning within a version, and what is not understood is named and left out.

use pinhole_proto::sorted::SortedMap;

use base64ct::{Base64UrlUnpadded, Encoding as _};

use crate::json;
use crate::run::Edit;
use crate::text::Text;

/// What a link says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The scenario's name.
    pub scenario: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// The edits; those of the scenario itself when absent.
    pub edits: Option<Vec<Edit>>,
    /// The step.
    pub index: Option<usize>,
    /// What belongs to the page: language, panels, what is selected. The core keeps it as it is.
    pub view: SortedMap<String, String>,
    /// What was not understood.
    pub notices: Vec<Text>,
}

/// The version of the links that this program writes.
const VERSION: &str = "1";
/// The keys that belong to the page.
const VIEW: [&str; 6] = ["all", "b", "j", "l", "m", "p"];
/// The longest fragment that is read.
const MAX_FRAGMENT: usize = 16_384;

impl Link {
    /// Reads a fragment, with or without `#`. Whatever is wrong in it becomes a notice that says where.
    #[must_use]
    pub fn read(fragment: &str) -> Self {
        let mut link = Self::default();
        let fragment = fragment.strip_prefix('#').unwrap_or(fragment);
        if fragment.len() > MAX_FRAGMENT {
            link.notices.push(Text::of("notice.link-too-long").with("most", MAX_FRAGMENT));
            return link;
        }
        for part in fragment.split('&').filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let wrong = || Text::of("notice.link-value").with("key", key).with("value", value);
            match key {
                "v" if value == VERSION => {}
                "v" => {
                    link = Self::default();
                    link.notices.push(Text::of("notice.link-version").with("version", value).with("known", VERSION));
                    return link;
                }
                "s" => link.scenario = Some(value.to_owned()),
                "seed" => match value.parse() {
                    Ok(seed) => link.seed = Some(seed),
                    Err(_) => link.notices.push(wrong()),
                },
                "i" => match value.parse() {
                    Ok(index) => link.index = Some(index),
                    Err(_) => link.notices.push(wrong()),
                },
                "x" => match edits(value) {
                    Ok(edits) => link.edits = Some(edits),
                    Err(why) => link.notices.push(Text::of("notice.link-edits").with("why", why)),
                },
                _ if VIEW.contains(&key) => {
                    link.view.insert(key.to_owned(), value.to_owned());
                }
                _ => link.notices.push(Text::of("notice.link-key").with("key", key)),
            }
        }
        link
    }

    /// Writes the fragment, without `#`.
    #[must_use]
    pub fn write(&self) -> String {
        let mut parts = vec![format!("v={VERSION}")];
        parts.extend(self.scenario.iter().map(|name| format!("s={name}")));
        parts.extend(self.seed.iter().map(|seed| format!("seed={seed}")));
        if let Some(edits) = &self.edits {
            let json = json::write(edits).unwrap_or_default();
            parts.push(format!("x={}", Base64UrlUnpadded::encode_string(json.as_bytes())));
        }
        parts.extend(self.index.iter().map(|index| format!("i={index}")));
        let known = self.view.iter().filter(|(key, _)| VIEW.contains(&key.as_str()));
        parts.extend(known.map(|(key, value)| format!("{key}={}", plain(value))));
        parts.join("&")
    }
}

fn edits(value: &str) -> Result<Vec<Edit>, String> {
    let strange = |c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c);
    if let Some((at, c)) = value.char_indices().find(|(_, c)| strange(*c)) {
        return Err(format!("invalid symbol {c:?} at {at}"));
    }
    let json = Base64UrlUnpadded::decode_vec(value).map_err(|error| error.to_string())?;
    let json = String::from_utf8(json).map_err(|error| error.to_string())?;
    json::read(&json).map_err(|error| error.to_string())
}

/// Values of the page are words and numbers; anything else in them would end the value.
fn plain(value: &str) -> String {
    value.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.,".contains(*c)).collect()
}
