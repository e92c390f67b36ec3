//! JSON of a host as a table: a list of objects by their members, lines of JSON the same, and one object by name and value.

use serde_json::{Map, Value};

use super::text;
use crate::model::sheet::{Row, Table};

const MOST_ROWS: usize = 500;
const MOST_COLUMNS: usize = 12;
const LONGEST_CELL_CHARS: usize = 200;

/// `None`: it is none of these. Else also whether there is more than the table holds.
pub(super) fn table(text: &str) -> Option<(Table, bool)> {
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) => of_objects(list.into_iter().map(object).collect::<Option<_>>()?),
        Ok(Value::Object(map)) => Some(of_members(&map)),
        Ok(_) => None,
        Err(_) => of_objects(lines(text)?),
    }
}

/// What was cut off at its end may leave a last line that is none.
fn lines(text: &str) -> Option<Vec<Map<String, Value>>> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (last, whole) = lines.split_last()?;
    let read = |line: &str| serde_json::from_str(line).ok().and_then(object);
    let mut objects = whole.iter().map(|line| read(line)).collect::<Option<Vec<_>>>()?;
    objects.extend(read(last));
    Some(objects)
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

fn of_objects(objects: Vec<Map<String, Value>>) -> Option<(Table, bool)> {
    if objects.is_empty() {
        return None;
    }
    // In the order in which they are met.
    let mut names: Vec<&String> = Vec::new();
    let mut is_cut = objects.len() > MOST_ROWS;
    for name in objects.iter().take(MOST_ROWS).flat_map(Map::keys) {
        if names.contains(&name) {
            continue;
        }
        if names.len() == MOST_COLUMNS {
            is_cut = true;
            break;
        }
        names.push(name);
    }
    let rows = objects.iter().take(MOST_ROWS).map(|object| Row {
        cells: names.iter().map(|name| object.get(*name).map_or_else(|| "–".to_owned(), cell)).collect(),
        ..Row::default()
    });
    let table = Table {
        caption: "Content".to_owned(),
        columns: names.iter().map(|name| text::of_host(name)).collect(),
        rows: rows.collect(),
        tick: String::new(),
    };
    Some((table, is_cut))
}

fn of_members(map: &Map<String, Value>) -> (Table, bool) {
    let rows = map
        .iter()
        .take(MOST_ROWS)
        .map(|(name, value)| Row { cells: vec![text::of_host(name), cell(value)], ..Row::default() });
    let table = Table {
        caption: "Content".to_owned(),
        columns: ["Name", "Value"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
        tick: String::new(),
    };
    (table, map.len() > MOST_ROWS)
}

fn cell(value: &Value) -> String {
    let words = match value {
        Value::Null => return "–".to_owned(),
        Value::String(words) => words.clone(),
        other => other.to_string(),
    };
    text::of_host(&match words.char_indices().nth(LONGEST_CELL_CHARS) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_objects_is_a_table_of_their_members() {
        let (table, is_cut) =
            table(r#"[{"pid":1,"name":"init"},{"pid":2,"tags":["a"],"name":null}]"#).unwrap();
        assert_eq!(table.columns, ["name", "pid", "tags"]);
        assert_eq!(table.rows[1].cells, ["–", "2", r#"["a"]"#]);
        assert!(!is_cut);
    }

    #[test]
    fn lines_of_objects_are_one_too_and_a_cut_last_line_is_left_out() {
        let (table, _) = table("{\"a\":1}\n{\"a\":2}\n{\"a\":").unwrap();
        assert_eq!(table.rows.len(), 2);
    }

    #[test]
    fn one_object_is_names_and_values_and_the_rest_is_text() {
        let (table, _) = table(r#"{"kernel":"6.1\u202e"}"#).unwrap();
        assert_eq!(table.rows[0].cells, ["kernel", r"6.1\u{202e}"]);
        for text in ["[1,2]", "7", "plain words", "", "a\n{\"a\":1}", "[]"] {
            assert!(super::table(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_is_large_is_cut() {
        let many: Vec<Value> = (0..600).map(|number| serde_json::json!({ "n": number })).collect();
        let (table, is_cut) = table(&Value::Array(many).to_string()).unwrap();
        assert_eq!((table.rows.len(), is_cut), (MOST_ROWS, true));
        let wide: Map<String, Value> = (0..20).map(|number| (format!("c{number}"), Value::Null)).collect();
        let (table, is_cut) = super::table(&Value::Array(vec![Value::Object(wide)]).to_string()).unwrap();
        assert_eq!((table.columns.len(), is_cut), (MOST_COLUMNS, true));
    }
}
