use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Word,
    Holds(i64),
    HasFields {
        name: String,
        next: Option<Box<Shape>>,
    },
    #[serde(other)]
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    text: String,
    amount: u64,
    signed: i32,
    yes: bool,
    maybe: Option<String>,
    shapes: Vec<Shape>,
    three: [u32; 3],
    answer: Result<Vec<i64>, String>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![Just(Shape::Word), any::<i64>().prop_map(Shape::Holds)];
    leaf.prop_recursive(4, 8, 1, |inner| {
        (any::<String>(), proptest::option::of(inner))
            .prop_map(|(name, next)| Shape::HasFields { name, next: next.map(Box::new) })
    })
}

prop_compose! {
    fn everything()(
        text: String,
        amount: u64,
        signed: i32,
        yes: bool,
        maybe: Option<String>,
        shapes in proptest::collection::vec(shape(), 0..4),
        three: [u32; 3],
        answer in prop_oneof![
            proptest::collection::vec(any::<i64>(), 0..4).prop_map(Ok),
            any::<String>().prop_map(Err),
        ],
    ) -> Everything {
        Everything { text, amount, signed, yes, maybe, shapes, three, answer }
    }
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_as_it_was(written in everything()) {
        let compact = serde_json::to_vec(&written).unwrap();
        prop_assert_eq!(read::<Everything>(&compact).unwrap(), written.clone());
        let spaced = serde_json::to_vec_pretty(&written).unwrap();
        prop_assert_eq!(read::<Everything>(&spaced).unwrap(), written);
    }

    #[test]
    fn what_is_cut_off_is_refused(written in everything(), kept in 0.0..1.0) {
        let text = serde_json::to_vec(&written).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a length")]
        let cut = (text.len() as f64 * kept) as usize;
        prop_assert_eq!(read::<Everything>(&text[..cut]), Err(Malformed));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = read::<Everything>(&bytes);
        let _ = read::<Shape>(&bytes);
    }
}

#[test]
fn what_is_not_known_is_skipped() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Old {
        id: i64,
    }
    let new = br#"{"later":[{"x":[1,-2,null]},true,"a\"b\\"],"id":41,"more":{}}"#;
    assert_eq!(read::<Old>(new), Ok(Old { id: 41 }));
    assert_eq!(read::<Shape>(b"\"a_new_word\""), Ok(Shape::Unknown));
}

#[test]
fn escapes_are_what_they_stand_for() {
    assert_eq!(read::<String>(br#""\n\t\"\\\/\u001f\u00e9""#).as_deref(), Ok("\n\t\"\\/\u{1f}é"));
    for bad in [r#""\x""#, r#""\u12""#, r#""\ud800""#, r#""a"#, "\"a\"b", "\"\\"] {
        assert_eq!(read::<String>(bad.as_bytes()), Err(Malformed), "{bad}");
    }
}

#[test]
fn numbers_are_whole_and_fit() {
    assert_eq!(read::<i64>(b"-9223372036854775808"), Ok(i64::MIN));
    assert_eq!(read::<u64>(b"18446744073709551615"), Ok(u64::MAX));
    for bad in ["1.5", "1e3", "-", "", "18446744073709551616", "-9223372036854775809", "1 2"] {
        assert_eq!(read::<i64>(bad.as_bytes()), Err(Malformed), "{bad}");
    }
    assert_eq!(read::<i32>(b"2147483648"), Err(Malformed));
}

#[test]
fn depth_is_bounded() {
    #[derive(Debug, Deserialize)]
    struct Nothing {}
    let deep = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(read::<Nothing>(deep.as_bytes()).is_err());
}
