/// As leptos's, but erased without its wrapper: what a view is made of is in the wasm once, not once for the roots of views
/// and once for what lies in them (2.7 kB brotli).
macro_rules! view {
    ($($view:tt)*) => {
        $crate::ui::erased(leptos::view! { $($view)* })
    };
}

pub(crate) use view;
