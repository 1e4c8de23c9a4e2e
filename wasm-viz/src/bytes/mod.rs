//! Packets as octets: the IP packet, the tree of its fields, the difference that a NAT made, capture files.

mod image;
mod pcapng;
mod spans;
mod tree;
mod view;

pub use image::{Image, changed, image};
pub use pcapng::Capture;
pub use spans::Field;
pub(crate) use spans::hex;
pub use tree::{of_packet, of_plaintext, of_stream, sealed_in};
pub use view::{BytesView, CaptureView, OpenedView, view};
