//! The process-signals observer: changed executables, who signalled whom, and how services end.

pub mod executable;
pub mod services;
