//! Capture files that Wireshark reads: one interface for each place of capture, a comment on each packet.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use byteorder_slice::LittleEndian;
use pcap_file::pcapng::PcapNgBlock;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::pcapng::blocks::section_header::SectionHeaderBlock;
use pcap_file::pcapng::blocks::{ENHANCED_PACKET_BLOCK, INTERFACE_DESCRIPTION_BLOCK, SECTION_HEADER_BLOCK};
use pcap_file::{DataLink, Endianness};

/// A capture file in the making.
pub struct Capture {
    octets: Vec<u8>,
}

impl Capture {
    /// A file with these interfaces, numbered from 0; raw IP packets.
    ///
    /// # Errors
    /// The writer's; writing to memory has none.
    pub fn new(interfaces: &[String]) -> io::Result<Self> {
        let mut file = Self { octets: Vec::new() };
        let section = SectionHeaderBlock { endianness: Endianness::Little, ..Default::default() };
        file.block(SECTION_HEADER_BLOCK, &section)?;
        for name in interfaces {
            let options = vec![
                InterfaceDescriptionOption::IfName(Cow::Borrowed(name)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ];
            let interface =
                InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: u32::from(u16::MAX), options };
            file.block(INTERFACE_DESCRIPTION_BLOCK, &interface)?;
        }
        Ok(file)
    }

    /// Appends a packet as it was at an interface, which exists.
    ///
    /// # Errors
    /// The writer's; writing to memory has none.
    pub fn packet(&mut self, interface: u32, micros: u64, octets: &[u8], comment: &str) -> io::Result<()> {
        let options = (!comment.is_empty()).then_some(EnhancedPacketOption::Comment(Cow::Borrowed(comment)));
        let packet = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: Duration::from_micros(micros),
            original_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(octets),
            options: options.into_iter().collect(),
        };
        self.block(ENHANCED_PACKET_BLOCK, &packet)
    }

    /// Appends a block: its kind, its length, what is in it, and its length again. The library's writer does
    /// this for every kind of block in both orders of octets, and all of that would be downloaded with the page.
    fn block<'a>(&mut self, kind: u32, block: &impl PcapNgBlock<'a>) -> io::Result<()> {
        let mut content = Vec::new();
        block.write_to::<LittleEndian, _>(&mut content)?;
        content.resize(content.len().next_multiple_of(4), 0);
        let length = u32::try_from(content.len() + 12).map_err(io::Error::other)?.to_le_bytes();
        self.octets.extend([kind.to_le_bytes(), length].iter().flatten());
        self.octets.append(&mut content);
        self.octets.extend(length);
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        self.octets
    }
}

/// The resolution of times in the file, as a negative power of ten.
const NANOSECONDS: u8 = 9;
