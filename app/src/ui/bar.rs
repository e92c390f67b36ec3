use leptos::prelude::*;

use super::view;

/// A share of something, drawn; `words` say the same. Above `warn_at` percent it changes its colour and pattern.
#[component]
pub fn Bar(label: String, percent: u8, words: String, #[prop(default = 90)] warn_at: u8) -> impl IntoView {
    let percent = percent.min(100);
    let is_high = percent >= warn_at;
    view! {
        <div class=if is_high { "bar bar--high" } else { "bar" }>
            <div class="bar__head">
                <span class="bar__label">{label}</span>
                <span class="bar__words">{words}</span>
            </div>
            <svg class="bar__track" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                <rect class="bar__fill" x="0" y="0" height="6" width=percent.to_string()></rect>
            </svg>
        </div>
    }
}

/// Without division by zero, rounded.
pub fn percent(part: u64, whole: u64) -> u8 {
    if whole == 0 {
        return 0;
    }
    // Bytes of a disk may be near 2^64: a percent of the whole is exact enough.
    let (part, whole) = if whole > u64::MAX / 200 { (part >> 8, whole >> 8) } else { (part, whole) };
    let share = (part.min(whole) * 100 + whole / 2) / whole;
    u8::try_from(share).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn shares_never_leave_the_scale() {
        assert_eq!(percent(1, 0), 0);
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(2, 3), 67);
        assert_eq!(percent(9, 3), 100);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
    }
}
