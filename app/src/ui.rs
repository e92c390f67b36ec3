//! Widgets without data access.

mod badge;
mod bar;
mod brand;
mod copy;
pub mod dom;
mod icon;
mod moment;
mod notice;
mod part;
mod table;
pub mod theme;

pub use badge::{ConnectionBadge, IsolationBadge, StateBadge};
pub use bar::{Bar, percent};
pub use brand::Brand;
pub use copy::CopyLine;
pub use icon::{Icon, Shape};
pub use moment::{Ago, Moment, local_time};
pub use notice::{Notice, Tone};
pub use part::{Item, all, list, loaded, maybe, part, text};
pub use table::{cell, row, table};
