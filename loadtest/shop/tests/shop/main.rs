//! The shop as its users start it: real processes on free ports, watched from outside.

#[cfg(test)]
mod cache;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod process;
#[cfg(test)]
mod users;
