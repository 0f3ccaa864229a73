//! One tar to one Parquet image shard.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::schema::types::ColumnPath;

use super::{Converted, SetFormat, TableOutput, Target};
use crate::FORMAT_VERSION;
use crate::folder::{ShardFile, beside};
use crate::sample::{CAPTION_EXT, IMAGE_EXTS, METADATA_EXT};
use crate::status::Status;
use crate::table::{
    IMAGE_ROW_GROUP_ROWS, MEMBERS_KEY, SidecarReader, column, image_metadata, image_struct_fields,
};
use crate::tar::{BadSamples, MappedSample, MappedTar, Skipped, shown};

/// Converts `input`, one shard of `set`.
pub(super) fn convert(
    input: &Path,
    hf_images: bool,
    set: &mut SetFormat<'_>,
    target: &Target<'_>,
) -> anyhow::Result<Converted> {
    let tar = MappedTar::open_with(input, &set.options.tar)?;
    let mut images = Images::of(&tar, hf_images)?;
    if let Images::Plain(ext) = images {
        set.known.get_or_insert(ext);
    }
    let mut skipped = tar.skipped().clone();
    let sidecar = beside(input, ShardFile::Table);
    if sidecar.is_file() {
        images = match images {
            // A set has one column of images, also in shards whose rows all failed.
            Images::None if hf_images => Images::Struct,
            Images::None => Images::Plain(set.get()?),
            images => images,
        };
        with_sidecar(&tar, &sidecar, &images, target)?;
        let samples = tar.len() as u64;
        return Ok(Converted { samples, skipped });
    }
    let bad = set.options.tar.bad_samples;
    let samples = from_members(&tar, &images, bad, &mut skipped, target)?;
    Ok(Converted { samples, skipped })
}

/// The image column.
enum Images {
    /// The tar holds none.
    None,
    /// A binary column of this name.
    Plain(&'static str),
    /// Hugging Face's struct of bytes and path.
    Struct,
}

impl Images {
    fn of(tar: &MappedTar, hf_images: bool) -> anyhow::Result<Self> {
        let exts: BTreeSet<_> = tar.iter().filter_map(|sample| sample.image()).map(|(ext, _)| ext).collect();
        match exts.first() {
            None => Ok(Self::None),
            Some(_) if hf_images => Ok(Self::Struct),
            Some(ext) if exts.len() == 1 => Ok(Self::Plain(ext)),
            Some(_) => {
                let exts: Vec<_> = exts.into_iter().collect();
                let path = tar.path().display();
                bail!("{path}: holds images of several formats ({}); use --hf-images", exts.join(", "))
            }
        }
    }

    fn field(&self) -> Option<FieldRef> {
        match self {
            Self::None => None,
            Self::Plain(ext) => Some(nullable(ext, DataType::Binary)),
            Self::Struct => Some(nullable(column::IMAGE, DataType::Struct(image_struct_fields()))),
        }
    }

    /// The column whose bytes are worth neither compressing nor counting.
    fn column_path(&self) -> Option<ColumnPath> {
        match self {
            Self::None => None,
            Self::Plain(ext) => Some(ColumnPath::new(vec![(*ext).to_owned()])),
            Self::Struct => Some(ColumnPath::new(vec![column::IMAGE.to_owned(), "bytes".to_owned()])),
        }
    }

    fn array(&self, samples: &[Option<MappedSample<'_>>]) -> anyhow::Result<Option<ArrayRef>> {
        let images: Vec<_> = samples.iter().map(|s| s.as_ref().and_then(MappedSample::image)).collect();
        let bytes = binary(images.iter().map(|image| image.map(|(_, bytes)| bytes)))?;
        Ok(match self {
            Self::None => None,
            Self::Plain(_) => Some(bytes),
            Self::Struct => {
                let paths: StringArray = (samples.iter().zip(&images))
                    .map(|(sample, image)| Some(format!("{}.{}", sample.as_ref()?.key(), image.as_ref()?.0)))
                    .collect();
                let nulls = NullBuffer::from_iter(images.iter().map(Option::is_some));
                let columns: Vec<ArrayRef> = vec![bytes, Arc::new(paths)];
                Some(Arc::new(StructArray::try_new(image_struct_fields(), columns, Some(nulls))?))
            }
        })
    }
}

fn nullable(name: &str, data_type: DataType) -> FieldRef {
    Arc::new(Field::new(name, data_type, true))
}

/// 32-bit offsets carry 2 GiB in one batch; beyond that Arrow would panic.
fn binary<'a>(cells: impl Iterator<Item = Option<&'a [u8]>> + Clone) -> anyhow::Result<ArrayRef> {
    let num_bytes: u64 = cells.clone().flatten().map(|cell| cell.len() as u64).sum();
    if i32::try_from(num_bytes).is_err() {
        bail!(
            "{IMAGE_ROW_GROUP_ROWS} samples hold {num_bytes} bytes, more than a Parquet row group of ours takes"
        );
    }
    Ok(Arc::new(cells.collect::<BinaryArray>()))
}

/// The table beside the tar, row by row, with the image of each success behind it.
fn with_sidecar(tar: &MappedTar, sidecar: &Path, images: &Images, target: &Target<'_>) -> anyhow::Result<()> {
    let table = SidecarReader::open(sidecar)?;
    let mut fields: Vec<FieldRef> = table.schema().fields().iter().cloned().collect();
    if let Some(image) = images.field() {
        if table.has_column(image.name()) {
            bail!("{}: already has a column `{}`", sidecar.display(), image.name());
        }
        fields.push(image);
    }
    let schema =
        Arc::new(Schema::new_with_metadata(fields, image_metadata(matches!(images, Images::Struct))));
    let mut unused: HashMap<&str, usize> = HashMap::with_capacity(tar.len());
    for (at, sample) in tar.iter().enumerate() {
        if unused.insert(sample.key(), at).is_some() {
            bail!("{}: key {} comes twice", tar.path().display(), sample.key());
        }
    }
    let file = target.create(ShardFile::Table)?;
    let version = table.format_version();
    let (column, rows) = (images.column_path(), IMAGE_ROW_GROUP_ROWS);
    let mut out = TableOutput::new(file, Arc::clone(&schema), column, rows, version)?;
    for batch in table.batches_of(None, IMAGE_ROW_GROUP_ROWS)? {
        let batch = batch?;
        let (keys, statuses) = (text_column(&batch, column::KEY)?, text_column(&batch, column::STATUS)?);
        let mut samples = Vec::with_capacity(batch.num_rows());
        for (key, status) in keys.as_string::<i32>().iter().zip(statuses.as_string::<i32>()) {
            let sample = key.and_then(|key| unused.remove(key)).and_then(|at| tar.sample(at));
            let succeeded = status == Some(Status::Success.as_str());
            if succeeded != sample.is_some() {
                let key = key.unwrap_or("null");
                let (in_table, in_tar) = match succeeded {
                    true => ("a success", "is not in"),
                    false => ("no success", "is in"),
                };
                bail!(
                    "{}: key {key} is {in_table} there but {in_tar} {}",
                    sidecar.display(),
                    tar.path().display()
                );
            }
            samples.push(sample);
        }
        let mut columns = batch.columns().to_vec();
        columns.extend(images.array(&samples)?);
        out.write(RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    // Sorted, so that the same damage always gives the same message.
    if let Some(key) = unused.keys().min() {
        bail!("{}: sample {key} has no row in {}", tar.path().display(), sidecar.display());
    }
    Ok(out.finish()?.commit()?)
}

fn text_column(batch: &RecordBatch, name: &str) -> anyhow::Result<ArrayRef> {
    let column = batch.column_by_name(name).with_context(|| format!("no column `{name}`"))?;
    Ok(cast(column, &DataType::Utf8)?)
}

/// A table of what the members hold, for a tar of which nothing else is known.
fn from_members(
    tar: &MappedTar,
    images: &Images,
    bad_samples: BadSamples,
    skipped: &mut Skipped,
    target: &Target<'_>,
) -> anyhow::Result<u64> {
    let exts: BTreeSet<&str> = tar.index().iter().flat_map(|s| s.components().map(|c| c.ext)).collect();
    let texts: Vec<(&str, &str)> = [(column::CAPTION, CAPTION_EXT), (METADATA_EXT, METADATA_EXT)]
        .into_iter()
        .filter(|(_, ext)| exts.contains(ext))
        .collect();
    let is_image = |ext: &str| match images {
        Images::None => false,
        Images::Plain(plain) => ext == *plain,
        Images::Struct => IMAGE_EXTS.contains(&ext),
    };
    let others: Vec<&str> = (exts.iter().copied())
        .filter(|ext| !is_image(ext) && ![CAPTION_EXT, METADATA_EXT].contains(ext))
        .collect();
    if let Some(taken) = others.iter().find(|e| [column::KEY, column::STATUS, column::CAPTION].contains(*e)) {
        bail!("{}: members `.{taken}` have the name of a column the table needs", tar.path().display());
    }
    let mut fields: Vec<FieldRef> = texts.iter().map(|(name, _)| nullable(name, DataType::Utf8)).collect();
    fields.extend([column::KEY, column::STATUS].map(|name| nullable(name, DataType::Utf8)));
    fields.extend(others.iter().map(|ext| nullable(ext, DataType::Binary)));
    fields.extend(images.field());
    let mut metadata = image_metadata(matches!(images, Images::Struct));
    metadata.insert(MEMBERS_KEY.to_owned(), "1".to_owned());
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let file = target.create(ShardFile::Table)?;
    // A table of this shape is ours, whoever made the tar.
    let (column, rows) = (images.column_path(), IMAGE_ROW_GROUP_ROWS);
    let mut out = TableOutput::new(file, Arc::clone(&schema), column, rows, Some(FORMAT_VERSION))?;
    let mut all = Vec::with_capacity(tar.len());
    for sample in tar.iter() {
        let bad =
            texts.iter().find(|(_, ext)| sample.get(ext).is_some_and(|text| str::from_utf8(text).is_err()));
        match bad {
            None => all.push(Some(sample)),
            Some((_, ext)) if bad_samples == BadSamples::Skip => {
                skipped.add_sample(sample.key(), &format_args!("`{ext}` is not UTF-8"));
            }
            Some((_, ext)) => bail!(
                "{}: sample `{}`: `{ext}` is not UTF-8, which a column of text must be; skip such samples with \
                 --bad-samples skip",
                tar.path().display(),
                shown(sample.key())
            ),
        }
    }
    for samples in all.chunks(IMAGE_ROW_GROUP_ROWS) {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (_, ext) in &texts {
            let mut cells = Vec::with_capacity(samples.len());
            for sample in samples.iter().flatten() {
                cells.push(sample.get(ext).map(str::from_utf8).transpose()?);
            }
            columns.push(Arc::new(StringArray::from(cells)));
        }
        columns.push(Arc::new(
            samples.iter().map(|s| s.as_ref().map(MappedSample::key)).collect::<StringArray>(),
        ));
        columns.push(Arc::new(StringArray::from(vec![Status::Success.as_str(); samples.len()])));
        for ext in &others {
            columns.push(binary(samples.iter().map(|s| s.as_ref().and_then(|s| s.get(ext))))?);
        }
        columns.extend(images.array(samples)?);
        out.write(RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
    }
    out.finish()?.commit()?;
    Ok(all.len() as u64)
}
