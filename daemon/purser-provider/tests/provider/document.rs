//! Every answer of every test is held against the OpenAPI document: an undocumented answer fails the test.

use serde_json::Value;

fn document() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).unwrap()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let pairs = template.iter().zip(&path);
    template.len() == path.len()
        && pairs
            .into_iter()
            .all(|(place, found)| place.starts_with('{') || place == found)
}

/// Asserts that the document has this answer.
pub(crate) fn check(method: &str, path: &str, status: u16, body: &Value) {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let found = paths.iter().find(|(template, _)| fits(template, path));
    let operation = found
        .map(|(_, methods)| &methods[method.to_lowercase()])
        .filter(|it| !it.is_null());
    let Some(operation) = operation else {
        assert!(status == 404 || status == 405, "{method} {path}: {status} {body}");
        return schema(
            &document,
            &document["components"]["schemas"]["Refusal"],
            body,
            path,
        );
    };
    let responses = &operation["responses"];
    let exact = &responses[status.to_string()];
    let range = &responses[format!("{}XX", status / 100)];
    let response = if exact.is_null() { range } else { exact };
    assert!(
        !response.is_null(),
        "{method} {path} answers {status}, which is not documented: {body}"
    );
    let response = follow(&document, response);
    schema(
        &document,
        &response["content"]["application/json"]["schema"],
        body,
        path,
    );
}

fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// The part of JSON Schema that the document uses.
fn schema(document: &Value, schema_or_ref: &Value, value: &Value, at: &str) {
    let schema_here = follow(document, schema_or_ref);
    if let Some(choices) = schema_here["oneOf"].as_array() {
        // Each choice has a field of its own.
        let choice = choices.iter().map(|it| follow(document, it)).find(|choice| {
            let required = choice["required"].as_array().unwrap();
            required
                .iter()
                .all(|name| !value[name.as_str().unwrap()].is_null())
        });
        return schema(
            document,
            choice.unwrap_or_else(|| panic!("{at}: {value} is no choice")),
            value,
            at,
        );
    }
    let kinds: Vec<&str> = match &schema_here["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|it| it.as_str().unwrap()).collect(),
        other => panic!("{at}: the document has type {other}"),
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{at}: {value} is not {kinds:?}");
    if let (Some(text), Some(choices)) = (value.as_str(), schema_here["enum"].as_array()) {
        assert!(
            choices.iter().any(|it| it == text),
            "{at}: {text} is not one of {choices:?}"
        );
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), schema_here["pattern"].as_str())
        && pattern.contains("[0-9a-f]")
    {
        assert!(
            text.bytes()
                .all(|it| it.is_ascii_hexdigit() && !it.is_ascii_uppercase()),
            "{at}: {text}"
        );
    }
    for item in value.as_array().into_iter().flatten() {
        schema(document, &schema_here["items"], item, at);
    }
    if let Some(object) = value.as_object() {
        let properties = schema_here["properties"].as_object().unwrap();
        for name in schema_here["required"].as_array().unwrap() {
            assert!(
                object.contains_key(name.as_str().unwrap()),
                "{at}: {name} is missing in {value}"
            );
        }
        for (name, field) in object {
            let known = properties
                .get(name)
                .unwrap_or_else(|| panic!("{at}: {name} is not documented"));
            schema(document, known, field, &format!("{at} {name}"));
        }
    }
}
