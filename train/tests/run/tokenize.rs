//! `tokenize`: captions in, rows of ids out.

use std::io::Write;
use std::process::Stdio;

use crate::harness::pairmill_train;

#[test]
fn a_row_of_77_ids_per_line() {
    let mut child =
        pairmill_train().arg("tokenize").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("a diagram\n\nHello, World!".as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<u32>> =
        text.lines().map(|line| line.split(' ').map(|id| id.parse().unwrap()).collect()).collect();
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [77; 3]);
    assert_eq!(rows[0][..5], [49406, 320, 22697, 49407, 0]);
    assert_eq!(rows[1][..3], [49406, 49407, 0]);
    assert_eq!(rows[2][..6], [49406, 3306, 267, 1002, 256, 49407]);
}
