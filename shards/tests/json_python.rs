//! Our JSON against what CPython wrote (`fixtures/json/make.py`), and against serde_json by parsing it back.

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, Int8Type, i256};
use pairmill_shards::json::{
    Json, cell_to_json, cell_to_text, dumps, dumps_indented, float_repr, parse_python_json,
};
use proptest::prelude::*;

fn object(fields: Vec<(&str, Json)>) -> Json {
    Json::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}

fn text(s: &str) -> Json {
    Json::Str(s.to_owned())
}

/// The value of `make.py`.
fn golden() -> Json {
    let ints = [0, -1, i128::from(i64::MAX), i128::from(i64::MIN), i128::from(u64::MAX)];
    let floats = [
        0.0,
        -0.0,
        1.0,
        0.1,
        1e16,
        1e15,
        1e-5,
        1e-4,
        1.5e300,
        5e-324,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    object(vec![
        ("uid", text("00f\u{e9}")),
        ("caption", text("a \"quoted\" \\ cat\tand\nmore \u{7f} \u{2028} \u{1f600} \u{0}\u{8}\u{c}\r/")),
        ("none", Json::Null),
        ("yes", Json::Bool(true)),
        ("no", Json::Bool(false)),
        ("ints", Json::List(ints.map(Json::Int).to_vec())),
        ("floats", Json::List(floats.map(Json::Float).to_vec())),
        (
            "empty",
            Json::List(vec![
                Json::List(vec![]),
                object(vec![]),
                Json::List(vec![Json::List(vec![])]),
                object(vec![("", object(vec![]))]),
            ]),
        ),
        (
            "nested",
            object(vec![
                (
                    "a",
                    Json::List(vec![
                        Json::Int(1),
                        Json::List(vec![Json::Int(2), object(vec![("b", text("\u{fc}"))])]),
                    ]),
                ),
                ("\u{1d11e}", text("")),
            ]),
        ),
    ])
}

#[test]
fn json_is_written_as_python_writes_it() {
    assert_eq!(dumps_indented(&golden()), include_str!("fixtures/json/indented.json"));
    assert_eq!(dumps(&golden()), include_str!("fixtures/json/line.json"));
}

#[test]
fn floats_have_pythons_repr() {
    for line in include_str!("fixtures/json/floats.txt").lines() {
        let (bits, repr) = line.split_once(' ').unwrap();
        let x = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(float_repr(x), repr, "{bits}");
    }
}

#[test]
fn every_kind_of_column_has_a_json_form() {
    let ints = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])) as ArrayRef;
    let item = Arc::new(Field::new("item", DataType::Int32, true));
    let list = ListArray::new(Arc::clone(&item), OffsetBuffer::from_lengths([2, 1]), Arc::clone(&ints), None);
    let pair = StructArray::new(
        Fields::from(vec![Field::new("n", DataType::Int32, true), Field::new("s", DataType::Utf8, true)]),
        vec![Arc::clone(&ints), Arc::new(StringArray::from(vec!["a", "b", "c"]))],
        None,
    );
    let words: DictionaryArray<Int8Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    let decimal = Decimal128Array::from(vec![12345]).with_precision_and_scale(7, 2).unwrap();
    let wide = Decimal256Array::from(vec![i256::from(7)]).with_precision_and_scale(50, 0).unwrap();
    let instant = TimestampMicrosecondArray::from(vec![1_700_000_000_123_456]);
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("k");
    map.values().append_value(9);
    map.append(true).unwrap();
    let cases: Vec<(ArrayRef, usize, &str)> = vec![
        (Arc::clone(&ints), 1, "null"),
        (Arc::clone(&ints), 99, "null"),
        (Arc::new(NullArray::new(1)), 0, "null"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), 0, "18446744073709551615"),
        (Arc::new(Int8Array::from(vec![-5])), 0, "-5"),
        (Arc::new(Float32Array::from(vec![0.1])), 0, "0.10000000149011612"),
        (Arc::new(Float64Array::from(vec![f64::NAN])), 0, "NaN"),
        (Arc::new(BooleanArray::from(vec![true])), 0, "true"),
        (Arc::new(LargeStringArray::from(vec!["\u{e9}"])), 0, "\"\\u00e9\""),
        (Arc::new(StringViewArray::from(vec!["view"])), 0, "\"view\""),
        (Arc::new(BinaryArray::from_vec(vec![b"\x00\xff"])), 0, "\"00ff\""),
        (Arc::new(list.clone()), 0, "[1, null]"),
        (Arc::new(pair), 2, "{\"n\": 3, \"s\": \"c\"}"),
        (Arc::new(words), 2, "\"x\""),
        (Arc::new(decimal), 0, "\"123.45\""),
        (Arc::new(wide), 0, "\"7\""),
        (Arc::new(Date32Array::from(vec![19_675])), 0, "\"2023-11-14\""),
        (Arc::new(instant.clone()), 0, "\"2023-11-14T22:13:20.123456\""),
        (Arc::new(instant.with_timezone("Europe/Paris")), 0, "\"2023-11-14T22:13:20.123456+00:00\""),
        (Arc::new(TimestampSecondArray::from(vec![i64::MAX])), 0, "null"),
        (Arc::new(Time64MicrosecondArray::from(vec![3_600_000_000])), 0, "\"01:00:00\""),
        (Arc::new(map.finish()), 0, "[[\"k\", 9]]"),
    ];
    for (array, row, expected) in cases {
        assert_eq!(dumps(&cell_to_json(&array, row)), expected, "{}", array.data_type());
    }
    assert_eq!(cell_to_text(&Float64Array::from(vec![2.0]), 0).as_deref(), Some("2.0"));
    assert_eq!(cell_to_text(&BooleanArray::from(vec![false]), 0).as_deref(), Some("False"));
    assert_eq!(cell_to_text(&list, 1).as_deref(), Some("[3]"));
    assert_eq!(cell_to_text(&ints, 1), None);
}

#[test]
fn bare_words_of_python_are_read_as_null_outside_strings() {
    let value = parse_python_json(r#"{"a": NaN, "b": [-Infinity, Infinity], "c": "say \"NaN\" twice: NaN"}"#)
        .unwrap();
    assert_eq!(value["a"], serde_json::Value::Null);
    assert_eq!(value["b"][0], serde_json::Value::Null);
    assert_eq!(value["c"], "say \"NaN\" twice: NaN");
    assert!(parse_python_json("{\"a\": Nope}").is_err());
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(|n| Json::Int(n.into())),
        any::<u64>().prop_map(|n| Json::Int(n.into())),
        proptest::num::f64::NORMAL.prop_map(Json::Float),
        any::<String>().prop_map(Json::Str),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::List),
            proptest::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Equality but for the last bit of floats: serde_json's parser is not exact without its `float_roundtrip` feature.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Float(a), Json::Float(b)) => (a - b).abs() <= a.abs() * 1e-15,
        (Json::List(a), Json::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && same(&a.1, &b.1))
        }
        _ => a == b,
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(value in any_json()) {
        for text in [dumps(&value), dumps_indented(&value)] {
            prop_assert!(text.is_ascii());
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(same(&Json::from(&parsed), &value), "{:?} came back as {:?}", value, parsed);
        }
    }
}
