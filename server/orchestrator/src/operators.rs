//! Operators: first-run setup, sign-in, sessions.
