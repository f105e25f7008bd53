//! Process trees, locks and sockets: the one crate with unsafe code
