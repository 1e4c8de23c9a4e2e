//! How much memory decoding takes, counted by the allocator: a test binary of its own, with one test.

use peak_alloc::PeakAlloc;
use pinhole_fuzz::seeds::seeds;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

#[test]
fn decoding_takes_memory_in_proportion_to_the_input() {
    let mut most = 0;
    for seed in seeds("decode") {
        // A decoder alone: the oracles of the target allocate, too.
        let octets = &seed[1..];
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        match seed[0] {
            0 => drop(pinhole_proto::wire::Packet::decode(octets)),
            1 => drop(pinhole_proto::wire::message::Message::decode(&mut &octets[..])),
            _ => continue,
        }
        let peak = HEAP.peak_usage() - before;
        assert!(peak <= 8 * octets.len() + 1_024, "{peak} octets for {}: {octets:02x?}", octets.len());
        most = most.max(peak);
    }
    assert!(most > 0, "the allocator counts");
}
