use super::*;

fn understood(text: &str) -> EndpointQuery {
    let (query, unclear) = EndpointQuery::read(text);
    assert_eq!(unclear, None, "{text}");
    query
}

#[test]
fn an_address_comes_back_as_it_was() {
    for text in [
        "",
        "q=web%2001",
        "label=team:red&label=env%3Dprod&os=Debian%20GNU%2FLinux%2012%20%28bookworm%29&version=0.1.0",
        "status=offline&isolation=attention&isolation=failed&seen=7d&sort=-seen&columns=status,load&cursor=abc",
        "sort=-host&columns=",
    ] {
        assert_eq!(understood(text).text(), text);
    }
    assert_eq!(understood("?q=a+b").text, "a b");
    assert_eq!(understood("q=%C3%BC").text, "ü");
    assert_eq!(EndpointQuery::default().path(), "/");
}

#[test]
fn what_is_not_understood_is_named_and_left_out() {
    for (text, field) in [
        ("status=asleep&q=web", "status"),
        ("q=web&colour=red", "colour"),
        ("sort=size&q=web", "sort"),
        ("columns=host,colour&q=web", "columns"),
        ("q=web&label=%00", "label"),
    ] {
        let (query, unclear) = EndpointQuery::read(text);
        assert_eq!(unclear.map(|unclear| unclear.field).as_deref(), Some(field), "{text}");
        assert_eq!(query, EndpointQuery { text: "web".to_owned(), ..EndpointQuery::default() }, "{text}");
    }
    assert!(EndpointQuery::read("status=asleep").1.unwrap().problem.contains("connected, offline"));
}

#[test]
fn inputs_are_bounded() {
    assert!(EndpointQuery::read(&format!("q={}", "a".repeat(101))).1.is_some());
    assert!(EndpointQuery::read(&format!("label={}", "a".repeat(201))).1.is_some());
    let many = (0..21).map(|number| format!("label=l{number}")).collect::<Vec<_>>().join("&");
    assert_eq!(EndpointQuery::read(&many).0.labels.len(), 20);
}

#[test]
fn a_filter_is_taken_in_and_out_and_begins_at_the_start() {
    let query = understood("q=web&cursor=abc");
    let filtered = query.toggled("status", "offline").toggled("label", "prod");
    assert_eq!(filtered.text(), "q=web&label=prod&status=offline");
    assert!(filtered.has("label", "prod") && filtered.has("status", "offline"));
    assert_eq!(filtered.toggled("label", "prod").toggled("status", "offline").text(), "q=web");
    assert_eq!(
        filtered.sorted_by(Sort::Load).sorted_by(Sort::Load).text(),
        "q=web&label=prod&status=offline&sort=-load"
    );
}

#[test]
fn columns_are_in_the_address_only_when_they_are_not_the_usual_ones() {
    let query = EndpointQuery::default();
    let more = query.with_column(Column::Version, true);
    assert_eq!(more.text(), "columns=isolation,status,seen,os,address,labels,load,version");
    assert_eq!(more.with_column(Column::Version, false), query);
}
