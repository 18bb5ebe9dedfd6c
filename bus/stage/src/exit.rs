//! Exit codes by sysexits.h.

/// Wrong usage or configuration.
pub const USAGE: u8 = 64;
/// The input's data is wrong.
pub const DATA: u8 = 65;
/// What was asked for does not exist.
pub const NO_INPUT: u8 = 66;
/// Something that is needed is not available.
pub const UNAVAILABLE: u8 = 69;
/// An internal error.
pub const SOFTWARE: u8 = 70;
/// Something cannot be created, such as a lock that another process holds.
pub const CANNOT_CREATE: u8 = 73;
/// Input or output failed.
pub const IO: u8 = 74;
/// Not permitted.
pub const NO_PERMISSION: u8 = 77;
