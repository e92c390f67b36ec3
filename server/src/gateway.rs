//! What agents call. Who they are comes from the key that verified, never from what they say.

pub mod call;
pub mod enroll;
pub mod evidence;
pub mod poll;
pub mod probe;
pub mod report;
pub mod signed;
pub mod stream;
