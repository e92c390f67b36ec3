//! Widgets without data access.

mod badge;
mod bar;
mod brand;
pub mod chart;
mod copy;
pub mod dom;
pub mod field;
pub mod form;
mod icon;
mod later;
mod moment;
mod notice;
mod part;
mod piece;
pub mod sheet;
mod table;
pub mod tag;
pub mod theme;
mod view;
pub mod zone;

pub use badge::{ConnectionBadge, IsolationBadge, StateBadge};
pub use bar::{Bar, percent};
pub use brand::Brand;
pub use copy::CopyLine;
pub use icon::{Icon, Shape};
pub use later::{Code, Drawn, later};
pub use moment::{Ago, Moment};
pub use notice::{Notice, Tone, notice};
pub use part::{Item, all, erased, list, loaded, maybe, part, text};
pub(crate) use piece::{NotLoaded, loaded as loaded_piece, piece};
pub use table::{cell, row, table};
pub use tag::{said, tag, tag_with, words};
pub(crate) use view::view;
