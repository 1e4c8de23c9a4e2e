#[test]
fn t() { pinhole_fuzz::server::prepare(); pinhole_fuzz::decode::run(&[0,0x04]); }
