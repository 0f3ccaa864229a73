use std::io::Write;

use super::*;
use crate::checkpoint::import::WeightsFile;

/// Files that `tests/parity/pickles.py` made with torch 2.11.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/pickles").join(name)
}

fn names(file: &PickleFile) -> Vec<&str> {
    file.entries().iter().map(|entry| entry.name.as_str()).collect()
}

fn values(file: &mut PickleFile, name: &str) -> Vec<f32> {
    Vec::try_from(file.read(name).unwrap().to_kind(Kind::Float).reshape([-1])).unwrap()
}

const PROJ: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];

#[test]
fn state_dicts_are_read_bare_and_within_a_training_checkpoint() {
    for (name, prefix) in [("state_dict.pt", ""), ("open_clip.pt", "module.")] {
        let mut file = PickleFile::open(&fixture(name)).unwrap();
        let expected = [
            "logit_scale",
            "input_resolution",
            "visual.proj",
            "visual.bn1.weight",
            "visual.bn1.bias",
            "visual.bn1.running_mean",
            "visual.bn1.running_var",
            "visual.bn1.num_batches_tracked",
        ];
        assert_eq!(names(&file), expected.map(|name| format!("{prefix}{name}")), "{name}");
        assert_eq!(values(&mut file, &format!("{prefix}visual.proj")), PROJ);
        assert_eq!(values(&mut file, &format!("{prefix}logit_scale")), [4.5]);
        assert_eq!(values(&mut file, &format!("{prefix}input_resolution")), [64.0]);
        assert_eq!(
            file.read(&format!("{prefix}visual.bn1.num_batches_tracked")).unwrap().kind(),
            Kind::Int64
        );
    }
}

#[test]
fn a_torchscript_archive_in_half_precision_is_read_as_its_attributes() {
    let mut file = PickleFile::open(&fixture("scripted.pt")).unwrap();
    let mut found = names(&file);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "input_resolution",
            "logit_scale",
            "visual.bn1.bias",
            "visual.bn1.num_batches_tracked",
            "visual.bn1.running_mean",
            "visual.bn1.running_var",
            "visual.bn1.weight",
            "visual.proj"
        ]
    );
    assert_eq!(file.read("visual.proj").unwrap().kind(), Kind::Half);
    assert_eq!(values(&mut file, "visual.proj"), PROJ);
}

#[test]
fn views_number_formats_and_containers_are_read() {
    let mut file = PickleFile::open(&fixture("views.pt")).unwrap();
    assert_eq!(names(&file), ["turned", "part", "parameter", "long", "bool", "empty", "list.0", "list.1.0"]);
    assert_eq!(file.read("turned").unwrap().size(), [4, 3]);
    assert_eq!(values(&mut file, "turned")[..4], [0.0, 4.0, 8.0, 1.0]);
    assert_eq!(values(&mut file, "part"), [3.0, 4.0, 5.0, 6.0]);
    assert_eq!(file.read("parameter").unwrap().kind(), Kind::BFloat16);
    assert_eq!(Vec::<i64>::try_from(file.read("long").unwrap()).unwrap(), [-1, 1 << 40]);
    assert_eq!(values(&mut file, "bool"), [1.0, 0.0]);
    assert_eq!(file.read("empty").unwrap().size(), [0, 4]);
    assert_eq!(values(&mut file, "list.1.0"), [2.0]);
}

#[test]
fn f25_t09_no_message_has_a_recipe_that_would_run_what_was_refused() {
    for error in [
        PickleError::Class("os.system".to_owned()),
        PickleError::Opcode(0x80),
        PickleError::BigEndian,
        PickleError::NotTorch,
    ] {
        let message = error.to_string();
        assert!(!message.contains("load("), "{message}");
    }
    let message = PickleError::Class("os.system".to_owned()).to_string();
    assert!(message.contains("os.system") && message.contains("torch.save(model.state_dict()"), "{message}");
}

#[test]
fn t09_a_whole_pickled_module_is_read_for_its_tensors() {
    let expected = [
        "logit_scale",
        "input_resolution",
        "visual.proj",
        "visual.bn1.weight",
        "visual.bn1.bias",
        "visual.bn1.running_mean",
        "visual.bn1.running_var",
        "visual.bn1.num_batches_tracked",
    ];
    // `torch.save(module)`, the same in the old format, and `pickle.dump(module)` as wise-ft keeps its checkpoints.
    for name in ["module.pt", "legacy_module.pt", "dumped_module.pkl"] {
        let mut file = WeightsFile::open(&fixture(name)).unwrap();
        let found: Vec<&str> = file.entries().iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(found, expected, "{name}");
        let proj = file.read("visual.proj").unwrap().to_kind(Kind::Float).reshape([-1]);
        assert_eq!(Vec::<f32>::try_from(proj).unwrap(), PROJ, "{name}");
    }
}

#[test]
fn t09_a_checkpoint_with_a_namespace_beside_the_weights_is_read() {
    let mut file = PickleFile::open(&fixture("namespace.pt")).unwrap();
    assert_eq!(names(&file), ["visual.proj", "logit_scale"]);
    assert_eq!(values(&mut file, "visual.proj"), PROJ);
}

#[test]
fn t09_the_format_from_before_1_6_is_read() {
    let mut file = WeightsFile::open(&fixture("legacy.pt")).unwrap();
    assert_eq!(file.entries().len(), 1);
    assert_eq!(Vec::<f32>::try_from(file.read("a").unwrap()).unwrap(), [0.0, 0.0]);
}

#[test]
fn t09_numbers_of_a_big_endian_machine_are_turned() {
    let folder = tempfile::tempdir().unwrap();
    let numbers: Vec<u8> = [1.5f32, -2.0, 3.25, 0.0].iter().flat_map(|number| number.to_be_bytes()).collect();
    let path = zip_of(
        folder.path(),
        &[("a/data.pkl", &tensor("0", 4, &[4], &[1])), ("a/byteorder", b"big"), ("a/data/0", &numbers)],
    );
    let mut file = PickleFile::open(&path).unwrap();
    assert_eq!(values(&mut file, "t"), [1.5, -2.0, 3.25, 0.0]);
}

#[test]
fn t09_bare_pickles_cut_or_changed_anywhere_neither_panic_nor_lie() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pkl");
    let mut outcomes = [0usize; 2];
    for name in ["legacy.pt", "dumped_module.pkl"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for length in 0..whole.len() {
            let read = |program: &[u8]| match pairmill_pickle::is_legacy(program) {
                true => pairmill_pickle::run_legacy(program)
                    .map_err(PickleError::from)
                    .and_then(|v| tree::tensors(&v)),
                false => run(program).and_then(|values| tree::tensors(&values)),
            };
            assert!(read(&whole[..length]).is_err(), "{name} cut at {length}");
            let mut changed = whole.clone();
            for byte in [0, 1, 0x7f, 0xff, b'.', b'R', b'b', b'(', 0x85, 0x94] {
                changed[length] = byte;
                outcomes[usize::from(read(&changed).is_ok())] += 1;
            }
        }
        // As a file, cut within the numbers.
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let message = WeightsFile::open(&path).unwrap_err().to_string();
        assert!(message.contains("x.pkl: ") && !message.contains('\n'), "{message}");
    }
    assert!(outcomes.iter().all(|&count| count > 500), "{outcomes:?}");
}

#[test]
fn t14_weights_under_model_and_the_like_are_found() {
    let folder = tempfile::tempdir().unwrap();
    // {"epoch": 3, WRAPPER: {"t": tensor}, "t": None}, and one wrapper within another.
    let inner = tensor("0", 4, &[2, 2], &[2, 1]);
    let inner = &inner[2..inner.len() - 1];
    let entry = |key: &str, value: &[u8]| [text(key), value.to_vec(), b"s".to_vec()].concat();
    for wrapper in ["state_dict", "model_state_dict", "model", "module", "net"] {
        let once =
            [b"}".to_vec(), entry("epoch", b"K\x03"), entry(wrapper, inner), entry("t", b"N")].concat();
        let twice = [b"}".to_vec(), entry("model", &once)].concat();
        for program in [once, twice] {
            let program = [b"\x80\x02".to_vec(), program, b".".to_vec()].concat();
            let file = PickleFile::open(&zipped(&program, folder.path())).unwrap();
            assert_eq!(names(&file), ["t"], "{wrapper}");
        }
    }
}

/// A zip like torch's around a pickle, with one storage of four floats.
fn zipped(program: &[u8], folder: &Path) -> PathBuf {
    zip_of(folder, &[("a/data.pkl", program), ("a/data/0", &[0; 16]), ("a/data/1", &[0; 3])])
}

fn zip_of(folder: &Path, members: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join("x.pt");
    let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in members {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// `{"t": tensor}` with storage `key` of `numel` numbers and the given shape and stride.
fn tensor(key: &str, numel: i32, shape: &[i32], stride: &[i32]) -> Vec<u8> {
    let int = |number: &i32| [b"J", &number.to_le_bytes()[..]].concat();
    let tuple =
        |numbers: &[i32]| [b"(".to_vec(), numbers.iter().flat_map(int).collect(), b"t".to_vec()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("t"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(key),
        text("cpu"),
        int(&numel),
        b"tQ".to_vec(),
        int(&0),
        tuple(shape),
        tuple(stride),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn nothing_in_a_pickle_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let attacks: [(&[u8], &str); 6] = [
        (b"cos\nsystem\n(X\x02\x00\x00\x00idtR.", "os.system"),
        (b"cbuiltins\neval\n(X\x03\x00\x00\x001+1tR.", "builtins.eval"),
        (b"ctorch.serialization\nload\n)R.", "torch.serialization.load"),
        (b"(X\x02\x00\x00\x00idios\nsystem\n.", "instruction 0x69"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02id\x85R.", "os.system"),
        (b"c__main__\n\x1b[31mevil\n)R.", "__main__.[31mevil"),
    ];
    for (program, said) in attacks {
        let message = PickleFile::open(&zipped(program, folder.path())).unwrap_err().to_string();
        assert!(message.contains(said) && !message.contains(['\n', '\u{1b}']), "{message}");
    }
}

#[test]
fn programs_that_ask_for_memory_or_depth_are_refused() {
    let nested = [vec![b']'; 200_000], vec![b'a'; 199_999], b".".to_vec()].concat();
    // Every list holds the one before twice: 2^60 paths in a few hundred bytes.
    let mut doubled = b"]q\x000".to_vec();
    for level in 0..60u8 {
        doubled.extend([b']', b'(', b'h', level, b'h', level, b'e', b'q', level + 1, b'0']);
    }
    doubled.extend(b"h\x3c.");
    // A dict of a thousand entries, made once and copied by a thousand instructions of five bytes.
    let mut copied = b"}q\x00(".to_vec();
    copied.extend(b"NN".repeat(1_000));
    copied.extend(b"u0c__torch__\nM\nq\x010");
    copied.extend(b"h\x01)Rh\x00b".repeat(1_000));
    copied.push(b'.');
    // The same of an array's shape and of a storage's key.
    let long = [b"X\x00\x10\x00\x00".to_vec(), vec![b'k'; 0x1000]].concat();
    let mut keys = [b"X\x07\x00\x00\x00storageq\x000ctorch\nFloatStorage\nq\x010".to_vec(), long].concat();
    keys.extend(b"q\x020(h\x00h\x01h\x02NK\x04tq\x030");
    keys.extend(b"h\x03Q".repeat(1_000));
    keys.push(b'.');
    let programs: [(&[u8], &str); 14] = [
        (&copied, "over the limit"),
        (&keys, "over the limit"),
        (&nested, "the nesting is over the limit"),
        (&doubled, "the nesting is over the limit"),
        // A list that holds itself.
        (b"]q\x00h\x00a.", "the nesting is over the limit"),
        (b"X\xff\xff\xff\xffabc.", "ends in the middle"),
        (b"Nr\xff\xff\xff\xff.", "memo entries out of order"),
        (b"h\x07.", "never made"),
        (b".", "too little on the stack"),
        (b"(.", "too little on the stack"),
        (b"}(Nu.", "a key and no value"),
        (b"NNa.", "wrong type"),
        (b"\x80", "ends in the middle"),
        (b"", "ends in the middle"),
    ];
    for (program, said) in programs {
        let error = run(program).and_then(|values| tree::tensors(&values)).unwrap_err().to_string();
        assert!(error.contains(said), "{error} instead of {said}");
    }
}

#[test]
fn tensors_that_lie_about_their_storage_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let read = |program: &[u8]| {
        PickleFile::open(&zipped(program, folder.path()))
            .and_then(|mut file| file.read("t"))
            .map_err(|e| e.to_string())
    };
    assert_eq!(read(&tensor("0", 4, &[2, 2], &[2, 1])).unwrap().size(), [2, 2]);
    for (program, said) in [
        (tensor("0", 4, &[2, 3], &[3, 1]), "damaged tensor t"),
        (tensor("0", 1_000_000, &[1_000_000], &[1]), "damaged tensor t"),
        (tensor("0", 4, &[i32::MAX, i32::MAX], &[0, 0]), "damaged tensor t"),
        (tensor("0", -4, &[2], &[1]), "not described as one"),
        (tensor("1", 1, &[1], &[1]), "damaged tensor t"),
        (tensor("../../a/data/0", 4, &[4], &[1]), "a/data/../../a/data/0"),
    ] {
        let message = read(&program).unwrap_err();
        assert!(message.contains(said) && !message.contains('\n'), "{message}");
    }
}

#[test]
fn no_changed_byte_panics() {
    let mut programs = vec![tensor("0", 4, &[2, 2], &[2, 1])];
    for name in ["open_clip.pt", "scripted.pt", "views.pt"] {
        let mut zip = ZipArchive::new(File::open(fixture(name)).unwrap()).unwrap();
        let pickle = zip.file_names().flatten().find(|name| is_pickle(name)).unwrap().into_owned();
        let mut program = Vec::new();
        zip.by_name(&pickle).unwrap().read_to_end(&mut program).unwrap();
        programs.push(program);
    }
    let mut outcomes = [0usize; 2];
    for mut program in programs {
        for position in 0..program.len() {
            let original = program[position];
            for byte in (0..=u8::MAX).step_by(29).chain(*b".(tuesabRQcqh}])NXKMJ") {
                program[position] = byte;
                let result = run(&program).and_then(|values| tree::tensors(&values));
                outcomes[usize::from(result.is_ok())] += 1;
            }
            program[position] = original;
            assert!(run(&program[..position]).is_err(), "cut at {position}");
        }
    }
    assert!(
        outcomes.iter().all(|&count| count > 500),
        "{outcomes:?}: both happen, or the test tests nothing"
    );
}

#[test]
fn a_zip_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pt");
    let bytes = std::fs::read(fixture("state_dict.pt")).unwrap();
    for length in (2..bytes.len()).step_by(37) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let message = PickleFile::open(&path).unwrap_err().to_string();
        assert!(message.contains("cut.pt: ") && message.contains("zip"), "{message}");
    }
    // A flipped bit in the numbers is found by the zip's checksum.
    let mut flipped = bytes.clone();
    let zeros = bytes
        .windows(24)
        .position(|window| window[4..8] == 1f32.to_le_bytes() && window[20..] == 5f32.to_le_bytes());
    flipped[zeros.unwrap() + 4] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let message = PickleFile::open(&path).unwrap().read("visual.proj").unwrap_err().to_string();
    assert!(message.contains("hecksum"), "{message}");
}
