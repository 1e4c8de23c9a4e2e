//! Capture files that Wireshark reads: one interface for each place of capture, a comment on each packet.

use std::borrow::Cow;
use std::time::Duration;

use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, PcapError};

/// A capture file in the making.
pub struct Capture {
    writer: PcapNgWriter<Vec<u8>>,
}

impl Capture {
    /// A file with these interfaces, numbered from 0; raw IP packets.
    ///
    /// # Errors
    /// The writer's; writing to memory has none.
    pub fn new(interfaces: &[String]) -> Result<Self, PcapError> {
        let mut writer = PcapNgWriter::new(Vec::new())?;
        for name in interfaces {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ];
            writer.write_pcapng_block(InterfaceDescriptionBlock {
                linktype: DataLink::RAW,
                snaplen: u32::from(u16::MAX),
                options,
            })?;
        }
        Ok(Self { writer })
    }

    /// Appends a packet as it was at an interface.
    ///
    /// # Errors
    /// No such interface.
    pub fn packet(&mut self, interface: u32, micros: u64, octets: &[u8], comment: &str) -> Result<(), PcapError> {
        let options = (!comment.is_empty()).then_some(EnhancedPacketOption::Comment(Cow::Borrowed(comment)));
        self.writer.write_pcapng_block(EnhancedPacketBlock {
            interface_id: interface,
            timestamp: Duration::from_micros(micros),
            original_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(octets),
            options: options.into_iter().collect(),
        })?;
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        self.writer.into_inner()
    }
}

/// The resolution of times in the file, as a negative power of ten.
const NANOSECONDS: u8 = 9;
