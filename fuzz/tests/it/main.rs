#[test]
fn t() { pinhole_fuzz::server::prepare(); pinhole_fuzz::peer::prepare(); pinhole_fuzz::pair::prepare(); }
