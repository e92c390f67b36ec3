//! A line over time, with the span between the least and the most of each stretch behind it. Drawn in whole numbers.

use std::fmt::Write as _;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, MouseEvent};

use super::{all, maybe, view};

/// The box that it is drawn in; it is stretched to whatever there is.
const WIDTH: u32 = 1000;
const HEIGHT: i32 = 100;

pub struct Chart {
    pub name: &'static str,
    pub scale: Scale,
    /// By stretch, in order: least, mean, most. Stretches without data are missing.
    pub points: Vec<(u32, [i32; 3])>,
    /// The stretches that are marked by a band.
    pub isolated: Vec<u32>,
}

pub struct Scale {
    /// How many stretches there are.
    pub count: u32,
    /// What reaches the top, and its words.
    pub most: i32,
    pub top: String,
}

/// A move of the pointer chooses a stretch; where the chosen one is, a line stands. What it says is for others to say.
pub fn chart(chart: Chart, chosen: RwSignal<Option<u32>>) -> AnyView {
    let Chart { name, scale, points, isolated } = chart;
    let count = scale.count.max(1);
    let width = WIDTH / count;
    let bands = isolated.into_iter().map(|at| {
        let (x, width) = (x(at, count), width + 1);
        view! { <rect class="chart__band" x=x.to_string() y="0" width=width.to_string() height="100"/> }
    });
    let point = move |event: MouseEvent| {
        let target = event.current_target().and_then(|target| target.dyn_into::<Element>().ok());
        let Some(place) = target.map(|target| target.get_bounding_client_rect()) else { return };
        chosen.set(stretch_at(f64::from(event.client_x()) - place.left(), place.width(), count));
    };
    let mark = maybe(move || {
        let x = x(chosen.get()?, count) + width / 2;
        Some(view! { <path class="chart__mark" d=format!("M{x} 0V100")/> })
    });
    view! {
        <div class="chart">
            <p class="chart__head"><b>{name}</b><span class="muted">{scale.top}</span></p>
            <svg
                class="chart__box" viewBox="0 0 1000 100" preserveAspectRatio="none" aria-hidden="true" focusable="false"
                on:mousemove=point
            >
                {all(bands)}
                <path class="chart__span" d=span(&points, count, scale.most)/>
                <path class="chart__line" d=line(&points, count, scale.most)/>
                {mark}
            </svg>
        </div>
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn stretch_at(x: f64, width: f64, count: u32) -> Option<u32> {
    (width > 0.0).then(|| ((x / width * f64::from(count)) as u32).min(count - 1))
}

fn x(at: u32, count: u32) -> u32 {
    at * WIDTH / count
}

fn y(amount: i32, most: i32) -> i32 {
    HEIGHT - amount.clamp(0, most) * HEIGHT / most.max(1)
}

/// One stroke for each run of stretches that have data; one alone is a dash.
fn line(points: &[(u32, [i32; 3])], count: u32, most: i32) -> String {
    let mut path = String::new();
    for run in points.chunk_by(|(one, _), (next, _)| one + 1 == *next) {
        let mut pen = 'M';
        for (at, [_, mean, _]) in run {
            let middle = x(*at, count) + WIDTH / count / 2;
            let _ = write!(path, "{pen}{middle} {}", y(*mean, most));
            pen = 'L';
        }
        if run.len() == 1 {
            path.push_str("h4");
        }
    }
    path
}

/// There along the most, back along the least.
fn span(points: &[(u32, [i32; 3])], count: u32, most: i32) -> String {
    let mut path = String::new();
    let corner = |path: &mut String, pen: char, at: u32, amount: i32| {
        let _ = write!(path, "{pen}{} {}", x(at, count), y(amount, most));
    };
    for run in points.chunk_by(|(one, _), (next, _)| one + 1 == *next) {
        let mut pen = 'M';
        for (at, [_, _, top]) in run {
            corner(&mut path, pen, *at, *top);
            pen = 'L';
            corner(&mut path, pen, at + 1, *top);
        }
        for (at, [bottom, ..]) in run.iter().rev() {
            corner(&mut path, 'L', at + 1, *bottom);
            corner(&mut path, 'L', *at, *bottom);
        }
        path.push('Z');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_reported_is_a_gap() {
        let points = [(0, [0, 50, 100]), (1, [0, 100, 100]), (4, [0, 0, 0])];
        assert_eq!(line(&points, 10, 100), "M50 50L150 0M450 100h4");
        assert_eq!(span(&points[..1], 10, 100), "M0 0L100 0L100 100L0 100Z");
    }

    #[test]
    fn amounts_stay_on_the_scale() {
        assert_eq!((y(-5, 100), y(500, 100), y(1, 0)), (HEIGHT, 0, HEIGHT));
        assert_eq!(x(167, 168) + WIDTH / 168, 999);
    }

    #[test]
    fn the_pointer_chooses_the_stretch_below_it() {
        assert_eq!(stretch_at(0.0, 500.0, 10), Some(0));
        assert_eq!(stretch_at(499.9, 500.0, 10), Some(9));
        assert_eq!(stretch_at(500.0, 500.0, 10), Some(9));
        assert_eq!(stretch_at(1.0, 0.0, 10), None);
    }
}
