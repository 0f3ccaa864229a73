//! Labelled picture sets to transfer to: each task asks for one thing a scene shows, with balanced classes, a train
//! and a test split that never share a picture, and test sets shifted away from the training distribution.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use pairmill_shards::tar::{TarWriteError, TarWriter};

use crate::encode::{Chroma, Encoding};
use crate::error::{Error, Result};
use crate::picture::Picture;
use crate::rng::Rng;
use crate::scene::{Backdrop, Colour, Distribution, Shape, Texture};
use crate::words::word_enum;
use crate::world::World;

word_enum! {
    /// What is to be told from a picture.
    Task, "task" {
        Shapes = "shapes",
        Textures = "textures",
        Colours = "colours",
        Counts = "counts",
        Backdrops = "backdrops",
    }
}

word_enum! {
    /// Which half of a task.
    Split, "split" {
        Train = "train",
        Test = "test",
    }
}

word_enum! {
    /// How far a picture set is from the task's own distribution.
    Shift, "shift" {
        None = "none",
        Sketch = "sketch",
        Cluttered = "cluttered",
        Coarse = "coarse",
        Noisy = "noisy",
        Dark = "dark",
        Turned = "turned",
    }
}

impl Shift {
    /// Whether pictures shifted this way still show what the task asks for: a sketch has no colours, surfaces or
    /// backdrop.
    pub const fn suits(self, task: Task) -> bool {
        !matches!(self, Self::Sketch) || matches!(task, Task::Shapes | Task::Counts)
    }
}

/// A picture and its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The picture.
    pub picture: Picture,
    /// Index into [`Task::class_names`].
    pub label: usize,
}

impl Task {
    /// The classes, in label order, as words that fit a caption or prompt.
    pub fn class_names(self) -> Vec<&'static str> {
        match self {
            Self::Shapes => Shape::ALL.iter().map(|s| s.as_str()).collect(),
            Self::Textures => Texture::ALL.iter().map(|t| t.as_str()).collect(),
            Self::Colours => Colour::ALL.iter().map(|c| c.as_str()).collect(),
            Self::Counts => vec!["one", "two", "three", "four", "five"],
            Self::Backdrops => Backdrop::ALL.iter().map(|b| b.as_str()).collect(),
        }
    }

    /// Prompt templates for zero-shot classification; `{}` stands for the class name.
    pub const fn templates(self) -> &'static [&'static str] {
        match self {
            Self::Shapes => &["a photo of a {}.", "a picture of a {}.", "a {} on a background.", "the {}."],
            Self::Textures => &["a photo of a {} thing.", "a {} object.", "a {} pattern."],
            Self::Colours => &["a photo of something {}.", "a {} thing.", "a {} object on a background."],
            Self::Counts => &["a photo of {} things.", "a picture with {} objects.", "{} of them."],
            Self::Backdrops => &["a photo on a {} background.", "a {} background."],
        }
    }

    /// Picture `index` of a split: a pure function of the world's seed and the arguments. Labels go round robin,
    /// so any `n × classes` pictures in a row are balanced. 96–224 pixels a side, JPEG.
    pub fn labelled(self, world: &World, split: Split, shift: Shift, index: u64) -> Labelled {
        let num_classes = self.class_names().len();
        let label = (index % num_classes as u64) as usize;
        let mut rng =
            Rng::of(&[world.config().seed, 0x7461_736b, self as u64, split as u64, shift as u64, index]);
        let mut distribution = Distribution::EVEN;
        match self {
            Self::Shapes => distribution.shapes = only(label),
            Self::Textures => distribution.textures = only(label),
            Self::Colours => distribution.colours = only(label),
            Self::Counts => distribution.counts = only(label),
            Self::Backdrops => distribution.backdrops = only(label),
        }
        if self != Self::Counts {
            distribution.counts = [6, 2, 1, 0, 0];
        }
        distribution.max_extras = if shift == Shift::Cluttered { 4 } else { 0 };
        let mut scene = distribution.draw(&mut rng);
        match shift {
            Shift::None | Shift::Cluttered => {}
            Shift::Sketch => scene.finish.sketch = true,
            Shift::Coarse => scene.finish.block = rng.between(4, 8),
            Shift::Noisy => scene.finish.grain = rng.between(120, 200) as u8,
            Shift::Dark => scene.finish.brightness = -(rng.between(60, 110) as i16),
            Shift::Turned => {
                let turn = rng.span(0.08, 0.22) * rng.pick(&[-1.0, 1.0]);
                scene.objects.iter_mut().for_each(|object| object.turn = turn);
            }
        }
        let (width, height) = (rng.between(96, 224), rng.between(96, 224));
        let encoding = Encoding::Jpeg { quality: 92, chroma: Chroma::Full, progressive: false };
        Labelled { picture: Picture { scene, width, height, encoding }, label }
    }

    /// Writes the first `per_class` pictures of every class as `DIR/<class>/<n>.jpg`, the layout that folder
    /// readers of labelled sets expect, and `DIR/classes.txt` with the names in label order. Returns the number of
    /// pictures.
    ///
    /// # Errors
    /// [`Error::Io`] with the path that could not be written.
    pub fn write(self, world: &World, split: Split, shift: Shift, per_class: u64, dir: &Path) -> Result<u64> {
        let names = self.class_names();
        for name in &names {
            let folder = dir.join(name);
            fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        let total = per_class * names.len() as u64;
        for index in 0..total {
            let Labelled { picture, label } = self.labelled(world, split, shift, index);
            let path = dir.join(names[label]).join(format!("{:05}.jpg", index / names.len() as u64));
            fs::write(&path, picture.bytes()?).map_err(Error::io(&path))?;
        }
        write_lines(&dir.join("classes.txt"), &names)?;
        Ok(total)
    }

    /// Writes the first `per_class` pictures of every class as one labelled tar `DIR/<task>-<split>.tar` (members
    /// `jpg`, and `cls` with the label), with `<task>-classes.txt`, `<task>-templates.txt` and `<task>.toml`, the task
    /// as `pairmill-train` reads it. Returns the number of pictures.
    ///
    /// # Errors
    /// [`Error::Io`] with the path that could not be written.
    pub fn write_shard(
        self,
        world: &World,
        split: Split,
        shift: Shift,
        per_class: u64,
        dir: &Path,
    ) -> Result<u64> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let names = self.class_names();
        let total = per_class * names.len() as u64;
        let tar = dir.join(format!("{self}-{split}.tar"));
        let failed = |error: TarWriteError| Error::io(&tar)(std::io::Error::other(error));
        let mut writer = TarWriter::new(BufWriter::new(fs::File::create(&tar).map_err(Error::io(&tar))?));
        for index in 0..total {
            let Labelled { picture, label } = self.labelled(world, split, shift, index);
            let members = [("cls", label.to_string().into_bytes()), ("jpg", picture.bytes()?)];
            let members: Vec<_> = members.iter().map(|(ext, bytes)| (*ext, bytes.as_slice())).collect();
            writer.append(&format!("{index:06}"), &members).map_err(failed)?;
        }
        let (mut out, _) = writer.finish().map_err(failed)?;
        out.flush().map_err(Error::io(&tar))?;
        write_lines(&dir.join(format!("{self}-classes.txt")), &names)?;
        write_lines(&dir.join(format!("{self}-templates.txt")), self.templates())?;
        let task = dir.join(format!("{self}.toml"));
        let text = format!(
            "shards = \"{self}-{split}.tar\"\nclasses = \"{self}-classes.txt\"\ntemplates = \"{self}-templates.txt\"\n"
        );
        fs::write(&task, text).map_err(Error::io(&task))?;
        Ok(total)
    }
}

fn write_lines(path: &Path, lines: &[&str]) -> Result<()> {
    fs::write(path, lines.join("\n") + "\n").map_err(Error::io(path))
}

/// Weights that leave one choice.
fn only<const N: usize>(index: usize) -> [u32; N] {
    std::array::from_fn(|i| u32::from(i == index))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::WorldConfig;

    #[test]
    fn labels_are_balanced_and_true_to_the_scene() {
        let world = World::new(WorldConfig { seed: 5, ..WorldConfig::default() });
        for &task in Task::ALL {
            for &shift in Shift::ALL {
                let names = task.class_names();
                for index in 0..names.len() as u64 * 2 {
                    let Labelled { picture, label } = task.labelled(&world, Split::Test, shift, index);
                    let subject = picture.scene.subject();
                    let shown = match task {
                        Task::Shapes => subject.shape as usize,
                        Task::Textures => subject.texture as usize,
                        Task::Colours => subject.colour as usize,
                        Task::Counts => picture.scene.count - 1,
                        Task::Backdrops => picture.scene.backdrop as usize,
                    };
                    assert_eq!(shown, label, "{task} {shift} {index}");
                    assert_eq!(label as u64, index % names.len() as u64);
                }
            }
        }
    }

    #[test]
    fn splits_share_no_picture_and_shifts_change_the_pixels() {
        let world = World::new(WorldConfig { seed: 5, ..WorldConfig::default() });
        let bytes = |split, shift| Task::Shapes.labelled(&world, split, shift, 3).picture.bytes().unwrap();
        assert_ne!(bytes(Split::Train, Shift::None), bytes(Split::Test, Shift::None));
        assert_ne!(bytes(Split::Test, Shift::None), bytes(Split::Test, Shift::Sketch));
    }

    #[test]
    fn a_task_as_a_shard_holds_the_same_pictures_with_their_labels() {
        let world = World::new(WorldConfig { seed: 5, ..WorldConfig::default() });
        let dir = tempfile::tempdir().unwrap();
        let total = Task::Counts.write_shard(&world, Split::Test, Shift::None, 2, dir.path()).unwrap();
        let tar = pairmill_shards::tar::MappedTar::open(dir.path().join("counts-test.tar")).unwrap();
        assert_eq!(tar.len() as u64, total);
        for (index, sample) in tar.iter().enumerate() {
            let Labelled { picture, label } =
                Task::Counts.labelled(&world, Split::Test, Shift::None, index as u64);
            assert_eq!(sample.get("cls"), Some(label.to_string().as_bytes()));
            assert_eq!(sample.get("jpg"), Some(picture.bytes().unwrap().as_slice()));
        }
        assert!(fs::read_to_string(dir.path().join("counts.toml")).unwrap().contains("counts-test.tar"));
    }

    #[test]
    fn a_written_task_is_a_folder_per_class() {
        let world = World::new(WorldConfig { seed: 5, ..WorldConfig::default() });
        let dir = tempfile::tempdir().unwrap();
        let total = Task::Counts.write(&world, Split::Train, Shift::None, 2, dir.path()).unwrap();
        assert_eq!(total, 10);
        for name in Task::Counts.class_names() {
            assert!(dir.path().join(name).join("00001.jpg").is_file());
        }
        assert_eq!(fs::read_to_string(dir.path().join("classes.txt")).unwrap().lines().count(), 5);
    }
}
