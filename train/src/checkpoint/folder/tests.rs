use tch::{Device, Kind, no_grad};

use super::*;
use crate::optim::{AdamWConfig, Schedule, Shape};
use crate::weights::Init;

// Resuming bit for bit is in `tests/checkpoints.rs`: it needs libtorch's generator for itself.

fn model() -> (Weights, AdamW) {
    let weights = Weights::new(Device::Cpu);
    let root = weights.root();
    let _ = root.parameter("visual.proj", &[3, 4], Init::Normal { std: 1.0 }).unwrap();
    let _ = root.parameter("logit_scale", &[], Init::Constant(2.0)).unwrap();
    let _ = root.buffer("visual.bn1.num_batches_tracked", &[], Kind::Int64, 3.0).unwrap();
    let optimizer = AdamW::new(&weights, AdamWConfig::for_model("RN50")).unwrap();
    (weights, optimizer)
}

fn bits(weights: &Weights) -> Vec<u32> {
    let values =
        |tensor: &Tensor| Vec::<f32>::try_from(tensor.detach().to_kind(Kind::Float).reshape([-1])).unwrap();
    weights.all().iter().flat_map(|weight| values(&weight.tensor)).map(f32::to_bits).collect()
}

fn state(step: u64) -> State {
    State {
        format: state::FORMAT,
        tool: State::tool(),
        architecture: "rn-tiny".into(),
        model: Some(Architecture::find("rn-tiny").unwrap()),
        step,
        epoch: 0,
        samples_seen: step * 32,
        seed: 1,
        world: 1,
        schedule: Schedule { base_lr: 1e-3, warmup_steps: 5, total_steps: 10, shape: Shape::Cosine },
        scaler: None,
        loader: serde_json::json!({"epoch": 0, "sample": step * 32}),
        metrics: Default::default(),
        skipped_batches: 0,
        bad_in_a_row: 0,
        notes: Vec::new(),
        config: serde_json::json!({"optim": {"lr": 1e-3}}),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_kill_at_any_point_leaves_a_checkpoint_to_resume_from() {
    let points = [
        Point::Begun,
        Point::ModelWritten,
        Point::OptimizerWritten,
        Point::StateWritten,
        Point::SetAside,
        Point::Renamed,
        Point::Pointed,
    ];
    for replaced in [false, true] {
        for point in points {
            let folder = tempfile::tempdir().unwrap();
            let keep = Keep { last: Some(1), best: None };
            let all = Checkpoints::open(folder.path(), keep.clone()).unwrap();
            let (weights, optimizer) = model();
            let first = if replaced { Name::Step(2) } else { Name::Step(1) };
            all.save(first, &weights, &optimizer, &state(1)).unwrap();
            let mut kill = |now| {
                if now == point { Err(CheckpointError::None { path: PathBuf::new() }) } else { Ok(()) }
            };
            all.save_until(Name::Step(2), &weights, &optimizer, &state(2), &mut kill).unwrap_err();
            drop(all);

            // The next process.
            let all = Checkpoints::open(folder.path(), keep).unwrap();
            let found = Checkpoint::find(folder.path()).unwrap();
            let (fresh, fresh_optimizer) = model();
            found.restore(&fresh, &fresh_optimizer).unwrap();
            assert_eq!(bits(&fresh), bits(&weights), "{point:?}");
            let is_new = matches!(point, Point::Renamed | Point::Pointed);
            if replaced || point == Point::Pointed {
                assert_eq!(found.state.step, if is_new { 2 } else { 1 }, "{point:?}");
            } else {
                assert!(found.state.step == 1, "{point:?}: what `latest` names is there");
            }
            assert!(
                names(folder.path()).iter().all(|name| !name.starts_with('.')),
                "{point:?}: {:?}",
                names(folder.path())
            );
            all.save(Name::Step(2), &weights, &optimizer, &state(2)).unwrap();
            assert_eq!(names(folder.path()), ["latest", "step-00000002"], "{point:?}");
        }
    }
}

#[test]
fn a_failed_save_cleans_up_after_itself() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep::default()).unwrap();
    let (weights, optimizer) = model();
    all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    // A folder where the pointer should go: the rename onto it fails.
    fs::remove_file(folder.path().join(LATEST)).unwrap();
    fs::create_dir(folder.path().join(LATEST)).unwrap();
    fs::write(folder.path().join(LATEST).join("x"), "").unwrap();
    let message = all.save(Name::Step(1), &weights, &optimizer, &state(2)).unwrap_err().to_string();
    assert!(message.starts_with("cannot put in place") && message.contains("latest"), "{message}");
    assert_eq!(names(folder.path()), ["latest", "step-00000001"]);
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let best = Best { metric: "acc1".into(), direction: Direction::Highest };
    let all = Checkpoints::open(folder.path(), Keep { last: Some(2), best: Some(best.clone()) }).unwrap();
    let (weights, optimizer) = model();
    for (step, acc1) in [(1, 0.1), (2, 0.7), (3, f64::NAN), (4, 0.3), (5, 0.2)] {
        let mut state = state(step);
        state.metrics.insert("acc1".to_owned(), acc1);
        all.save(Name::Step(step), &weights, &optimizer, &state).unwrap();
    }
    assert_eq!(names(folder.path()), ["latest", "step-00000002", "step-00000004", "step-00000005"]);
    assert_eq!(all.best(&best).unwrap().unwrap().state.step, 2);
    let lowest = Best { direction: Direction::Lowest, ..best.clone() };
    assert_eq!(all.best(&lowest).unwrap().unwrap().state.step, 5);

    // Evaluated after it was saved.
    all.add_metrics(&folder.path().join("step-00000005"), [("acc1".to_owned(), 0.9)]).unwrap();
    let path = all.save(Name::Epoch(1), &weights, &optimizer, &state(6)).unwrap();
    assert!(path.ends_with("epoch_1"));
    assert_eq!(names(folder.path()), ["epoch_1", "latest", "step-00000005"]);
    assert_eq!(Checkpoint::find(folder.path()).unwrap().state.step, 6);
}

#[test]
fn a_run_folder_without_a_pointer_resumes_from_its_newest() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join(CHECKPOINTS);
    let all = Checkpoints::open(&folder, Keep::default()).unwrap();
    let (weights, optimizer) = model();
    all.save(Name::Epoch(10), &weights, &optimizer, &state(100)).unwrap();
    let older = all.save(Name::Epoch(9), &weights, &optimizer, &state(90)).unwrap();
    assert_eq!(Checkpoint::find(run.path()).unwrap().state.step, 90, "the pointer decides");
    fs::remove_file(folder.join(LATEST)).unwrap();
    assert_eq!(Checkpoint::find(run.path()).unwrap().state.step, 100);
    assert_eq!(Checkpoint::find(&older).unwrap().state.step, 90);
    let message = Checkpoint::find(&run.path().join("elsewhere")).unwrap_err().to_string();
    assert!(message.contains("elsewhere: no checkpoint there; name a run's folder"), "{message}");
}

#[test]
fn what_cannot_be_resumed_says_why_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep::default()).unwrap();
    let (weights, optimizer) = model();
    let path = all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let config = state(1).config;
    let rn_tiny = Architecture::find("rn-tiny").unwrap();
    let vit_tiny = Architecture::find("vit-tiny").unwrap();
    checkpoint.check("rn-tiny", &rn_tiny, &config, &[]).unwrap();
    let says = |error: CheckpointError, words: &[&str]| {
        let message = error.to_string();
        assert!(words.iter().all(|word| message.contains(word)) && !message.contains('\n'), "{message}");
    };
    says(
        checkpoint.check("vit-tiny", &vit_tiny, &config, &[]).unwrap_err(),
        &["step-00000001 holds rn-tiny, not vit-tiny"],
    );
    let other = serde_json::json!({"optim": {"lr": 2e-3}});
    says(
        checkpoint.check("rn-tiny", &rn_tiny, &other, &[]).unwrap_err(),
        &["optim.lr was 0.001, is 0.002", "--init-from"],
    );
    checkpoint.check("rn-tiny", &rn_tiny, &other, &["optim.lr"]).unwrap();

    let wider = Weights::new(Device::Cpu);
    let _ = wider.root().parameter("visual.proj", &[3, 5], Init::Constant(0.0)).unwrap();
    let wider_optimizer = AdamW::new(&wider, AdamWConfig::for_model("RN50")).unwrap();
    says(
        checkpoint.restore(&wider, &wider_optimizer).unwrap_err(),
        &["model.safetensors: ", "visual.proj [3, 4] instead of [3, 5]", "2 unexpected: logit_scale"],
    );

    let broken = |file: &str, bytes: Option<&[u8]>, words: &[&str]| {
        let whole = fs::read(path.join(file)).unwrap();
        match bytes {
            Some(bytes) => fs::write(path.join(file), bytes).unwrap(),
            None => fs::remove_file(path.join(file)).unwrap(),
        }
        let result = Checkpoint::open(&path).and_then(|found| found.restore(&weights, &optimizer));
        says(result.unwrap_err(), words);
        fs::write(path.join(file), whole).unwrap();
    };
    let model = fs::read(path.join(MODEL)).unwrap();
    broken(MODEL, Some(&model[..model.len() - 4]), &["model.safetensors: ", "cut off"]);
    broken(OPTIMIZER, None, &["optimizer.safetensors: there is no such file"]);
    broken(RNG, Some(&model), &["rng.safetensors: no tensor cpu"]);
    broken(STATE, Some(b"{\"format\": 1"), &["state.json: no checkpoint state"]);
    broken(STATE, Some(b"{\"format\": 3}"), &["state.json: checkpoint format 3; this program reads up to 2"]);
    checkpoint.restore(&weights, &optimizer).unwrap();
}

#[test]
fn names_are_parsed_only_as_they_are_written() {
    for name in [Name::Step(0), Name::Step(123_456_789), Name::Epoch(16)] {
        assert_eq!(Name::parse(&name.to_string()), Some(name));
    }
    for text in [
        "step-1",
        "step-",
        "epoch_",
        "epoch_016",
        "epoch-1",
        "latest",
        ".step-00000001.5.tmp",
        "step-0000000x",
    ] {
        assert_eq!(Name::parse(text), None, "{text}");
    }
    assert_eq!(hidden_name(".step-00000001.5.tmp"), Some((Name::Step(1), "tmp")));
    assert_eq!(hidden_name(".epoch_3.5.old"), Some((Name::Epoch(3), "old")));
    for text in [".step-00000001.5.swp", ".git", ".step-00000001.x.tmp", "step-00000001"] {
        assert_eq!(hidden_name(text), None, "{text}");
    }
}

#[test]
fn running_means_come_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep::default()).unwrap();
    let (weights, optimizer) = model();
    let path = all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    let counter = || weights.all().into_iter().find(|w| w.name.ends_with("tracked")).unwrap().tensor;
    let _ = no_grad(|| counter().fill_(9));
    Checkpoint::open(&path).unwrap().restore_weights(&weights).unwrap();
    assert_eq!((counter().int64_value(&[]), counter().kind()), (3, Kind::Int64));
}

#[test]
fn t01_weights_and_moments_that_are_not_finite_are_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep { last: Some(1), best: None }).unwrap();
    let (weights, optimizer) = model();
    all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    let good = weights.all();
    let moment = optimizer.state().into_iter().find(|(name, _)| name == "exp_avg.visual.proj").unwrap().1;
    for (tensor, name) in
        [(good[0].tensor.shallow_clone(), "visual.proj holds"), (moment, "exp_avg.visual.proj holds")]
    {
        for value in [f64::NAN, f64::INFINITY] {
            let before = tensor.detach().copy();
            let _ = no_grad(|| tensor.detach().get(-1).fill_(value));
            let message = all.save(Name::Step(2), &weights, &optimizer, &state(2)).unwrap_err().to_string();
            assert!(message.contains(name) && !message.contains('\n'), "{name}: {message}");
            no_grad(|| tensor.detach().copy_(&before));
            // The good one was not pushed out, and nothing is left of the bad one.
            assert_eq!(names(folder.path()), ["latest", "step-00000001"]);
        }
    }
    assert_eq!(Checkpoint::find(folder.path()).unwrap().state.step, 1);
    all.save(Name::Step(2), &weights, &optimizer, &state(2)).unwrap();
}

#[test]
fn t03_metrics_that_are_not_numbers_come_back_and_rank_last() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep { last: None, best: None }).unwrap();
    let (weights, optimizer) = model();
    let values = [(1, f64::NAN), (2, f64::NEG_INFINITY), (3, 0.25), (4, f64::INFINITY), (5, f64::NAN)];
    for (step, loss) in values {
        let mut state = state(step);
        state.metrics.insert("loss".to_owned(), loss);
        let path = all.save(Name::Step(step), &weights, &optimizer, &state).unwrap();
        let found = Checkpoint::open(&path).unwrap().state.metrics["loss"];
        assert!(found == loss || (found.is_nan() && loss.is_nan()), "{loss} came back as {found}");
    }
    let best = |direction| {
        let best = Best { metric: "loss".into(), direction };
        all.best(&best).unwrap().unwrap().state.step
    };
    assert_eq!((best(Direction::Lowest), best(Direction::Highest)), (2, 4));
    // Earlier versions wrote null, and could not read it back.
    let path = folder.path().join("step-00000005").join(STATE);
    let text = fs::read_to_string(&path).unwrap().replace("\"NaN\"", "null");
    fs::write(&path, text).unwrap();
    assert!(Checkpoint::find(folder.path()).unwrap().state.metrics["loss"].is_nan());
}

#[test]
fn t03_an_older_checkpoint_never_stands_in_for_one_that_cannot_be_read() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join(CHECKPOINTS);
    let all = Checkpoints::open(&folder, Keep::default()).unwrap();
    let (weights, optimizer) = model();
    all.save(Name::Step(1), &weights, &optimizer, &state(1)).unwrap();
    let newest = all.save(Name::Step(2), &weights, &optimizer, &state(2)).unwrap();
    fs::write(newest.join(STATE), "{\"format\": 2, ").unwrap();
    for has_pointer in [true, false] {
        if !has_pointer {
            fs::remove_file(folder.join(LATEST)).unwrap();
        }
        let message = Checkpoint::find(run.path()).unwrap_err().to_string();
        for words in ["step-00000002/state.json: no checkpoint state", "such as ", "step-00000001"] {
            assert!(message.contains(words) && !message.contains('\n'), "{words}: {message}");
        }
    }
    // As the message says.
    assert_eq!(Checkpoint::find(&folder.join("step-00000001")).unwrap().state.step, 1);
    fs::remove_dir_all(newest).unwrap();
    assert_eq!(Checkpoint::find(run.path()).unwrap().state.step, 1);
}

#[test]
fn t07_a_checkpoint_carries_its_architecture() {
    let folder = tempfile::tempdir().unwrap();
    let all = Checkpoints::open(folder.path(), Keep::default()).unwrap();
    let (weights, optimizer) = model();
    let mine = Architecture { name: "mine".into(), ..Architecture::find("rn-tiny").unwrap() };
    let edited = Architecture { activation: crate::model::Activation::QuickGelu, ..mine.clone() };
    let config = state(1).config;
    let of = |model| State { architecture: "models/mine.toml".into(), model, ..state(1) };
    let path = all.save(Name::Step(1), &weights, &optimizer, &of(Some(mine.clone()))).unwrap();
    let found = Checkpoint::open(&path).unwrap();
    // There is no such file, and none is needed.
    assert_eq!((found.architecture().unwrap(), found.warning()), (mine.clone(), None));
    found.check("models/mine.toml", &mine, &config, &[]).unwrap();
    found.check("elsewhere/mine.toml", &mine, &config, &[]).unwrap();
    let message = found.check("models/mine.toml", &edited, &config, &[]).unwrap_err().to_string();
    assert!(message.contains("model.activation was \"gelu\", is \"quick_gelu\""), "{message}");

    // Format 1 has the name alone.
    let path = all.save(Name::Step(2), &weights, &optimizer, &State { format: 1, ..of(None) }).unwrap();
    let old = Checkpoint::open(&path).unwrap();
    assert!(old.warning().unwrap().contains("models/mine.toml is taken as it is now"));
    let message = old.architecture().unwrap_err().to_string();
    assert!(message.contains("step-00000002") && message.contains("models/mine.toml"), "{message}");
}

#[test]
fn t11_keep_best_leaves_keep_last_as_it_is() {
    let keep = |toml: &str| toml::from_str::<Keep>(toml).map_err(|error| error.to_string());
    let best = "best = { metric = \"validation/validation_loss\", direction = \"lowest\" }";
    assert_eq!(keep(best).unwrap().last, Some(2));
    assert_eq!(keep("last = 5").unwrap(), Keep { last: Some(5), best: None });
    let all = keep("last = \"all\"").unwrap();
    assert_eq!(all.last, None);
    assert_eq!(keep(&toml::to_string(&all).unwrap()).unwrap(), all);
    assert!(keep("last = \"every\"").unwrap_err().contains("\"all\""));
}
