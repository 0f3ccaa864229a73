//! Where the study's datasets are handed out: files, addresses, lengths and checksums, as their pages and the readers of
//! torchvision and TFDS have them.

use super::config::DatasetKind;

/// A file that a dataset's authors hand out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteFile<'a> {
    /// Where it goes below the dataset's folder.
    pub path: &'a str,
    /// Its address.
    pub url: &'a str,
    /// Its length, where it is known.
    pub bytes: Option<u64>,
    /// Its MD5, where it is known: what it is checked by.
    pub md5: Option<&'a str>,
    /// What it unpacks to, which does as well.
    pub unpacked: Option<&'a str>,
}

impl RemoteFile<'_> {
    const fn new(path: &'static str, url: &'static str) -> RemoteFile<'static> {
        RemoteFile { path, url, bytes: None, md5: None, unpacked: None }
    }

    const fn bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }
}

impl RemoteFile<'static> {
    const fn md5(self, md5: &'static str) -> Self {
        Self { md5: Some(md5), ..self }
    }

    const fn unpacked(self, folder: &'static str) -> Self {
        Self { unpacked: Some(folder), ..self }
    }
}

type File = RemoteFile<'static>;

const CIFAR100: &[File] =
    &[File::new("cifar-100-binary.tar.gz", "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz")
        .bytes(168_513_733)
        .md5("03b5dce01913d631647c71ecec9e9cb8")
        .unpacked("cifar-100-binary")];

const DTD: &[File] =
    &[File::new("dtd-r1.0.1.tar.gz", "https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz")
        .bytes(625_239_812)
        .md5("fff73e5086ae6bdbea199a49dfb8a4c1")
        .unpacked("dtd")];

const CALTECH101: &[File] =
    &[File::new("caltech-101.zip", "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip")
        .bytes(137_414_764)
        .md5("3138e1922a9193bfa496528edbbc45d0")
        .unpacked("101_ObjectCategories")];

const PETS: &[File] = &[
    File::new("images.tar.gz", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz")
        .bytes(791_918_971)
        .md5("5c4f3ee8e5d25df40f4fd59a7f44e54c")
        .unpacked("images"),
    File::new("annotations.tar.gz", "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz")
        .bytes(19_173_078)
        .md5("95a8c909bbe2e81eed6a22bccdf3f68f")
        .unpacked("annotations"),
];

const REAL: &[File] = &[
    File::new("real.zip", "http://csr.bu.edu/ftp/visda/2019/multi-source/real.zip")
        .md5("dcc47055e8935767784b7162e7c7cca6")
        .unpacked("real"),
    File::new("real_train.txt", "http://csr.bu.edu/ftp/visda/2019/multi-source/domainnet/txt/real_train.txt")
        .md5("8ebf02c2075fadd564705f0dc7cd6291"),
    File::new("real_test.txt", "http://csr.bu.edu/ftp/visda/2019/multi-source/domainnet/txt/real_test.txt")
        .md5("6098816791c3ebed543c71ffa11b9054"),
];

const CLIPART: &[File] = &[
    File::new("clipart.zip", "http://csr.bu.edu/ftp/visda/2019/multi-source/groundtruth/clipart.zip")
        .md5("cd0d8f2d77a4e181449b78ed62bccf1e")
        .unpacked("clipart"),
    File::new(
        "clipart_train.txt",
        "http://csr.bu.edu/ftp/visda/2019/multi-source/domainnet/txt/clipart_train.txt",
    )
    .md5("b4349693a7f9c05c53955725c47ed6cb"),
    File::new(
        "clipart_test.txt",
        "http://csr.bu.edu/ftp/visda/2019/multi-source/domainnet/txt/clipart_test.txt",
    )
    .md5("f5ddbcfd657a3acf9d0f7da10db22565"),
];

const EUROSAT: &[File] = &[File::new("EuroSAT.zip", "https://madm.dfki.de/files/sentinel/EuroSAT.zip")
    .bytes(94_280_567)
    .md5("c8fa014336c82ac7804f0398fcb19387")
    .unpacked("2750")];

const CAMERA_TRAPS: &[File] = &[
    File::new(
        "eccv_18_all_images_sm.tar.gz",
        "https://storage.googleapis.com/public-datasets-lila/caltechcameratraps/eccv_18_all_images_sm.tar.gz",
    )
    .bytes(6_492_615_601)
    .unpacked("eccv_18_all_images_sm"),
    File::new(
        "eccv_18_annotations.tar.gz",
        "https://storage.googleapis.com/public-datasets-lila/caltechcameratraps/eccv_18_annotations.tar.gz",
    )
    .bytes(2_997_071)
    .unpacked("eccv_18_annotation_files"),
];

/// The files that make up a dataset; none for own sets, and for Cassava, which cannot be fetched without an account.
pub const fn remote_files(kind: DatasetKind) -> &'static [RemoteFile<'static>] {
    match kind {
        DatasetKind::Cifar100 => CIFAR100,
        DatasetKind::Dtd => DTD,
        DatasetKind::Caltech101 => CALTECH101,
        DatasetKind::Pets => PETS,
        DatasetKind::Real => REAL,
        DatasetKind::Clipart => CLIPART,
        DatasetKind::Eurosat => EUROSAT,
        DatasetKind::CameraTraps => CAMERA_TRAPS,
        DatasetKind::Cassava | DatasetKind::Folder | DatasetKind::Csv | DatasetKind::Shards => &[],
    }
}

/// Other archives that are read in place of one of [`remote_files`], with their checksums where they are known.
pub const fn other_archives(kind: DatasetKind) -> &'static [(&'static str, Option<&'static str>)] {
    match kind {
        DatasetKind::Cifar100 => &[("cifar-100-python.tar.gz", Some("eb9058c3a382ffc7106e4002c42a8d85"))],
        DatasetKind::Caltech101 => {
            &[("101_ObjectCategories.tar.gz", Some("b224c7392d521a49829488ab0f1120d9"))]
        }
        DatasetKind::Eurosat => &[("EuroSAT_RGB.zip", None)],
        _ => &[],
    }
}

/// What a dataset may lie unpacked in, besides what its files unpack to.
pub const fn other_folders(kind: DatasetKind) -> &'static [&'static str] {
    match kind {
        DatasetKind::Cifar100 => &["cifar-100-python"],
        DatasetKind::Caltech101 => &["caltech-101/101_ObjectCategories"],
        DatasetKind::Eurosat => &["EuroSAT_RGB", "EuroSAT/2750"],
        DatasetKind::Cassava => &["train_images", "cassava-leaf-disease-classification"],
        _ => &[],
    }
}

/// How a dataset is got by hand, where it cannot be fetched.
pub const fn by_hand(kind: DatasetKind) -> Option<&'static str> {
    match kind {
        DatasetKind::Cassava => Some(
            "Kaggle hands it out to those who accept its rules: kaggle competitions download -c \
             cassava-leaf-disease-classification, which gives cassava-leaf-disease-classification.zip; leave it packed",
        ),
        DatasetKind::Folder | DatasetKind::Csv | DatasetKind::Shards => {
            Some("it is your own set: there is nothing to fetch")
        }
        _ => None,
    }
}

/// What a dataset is, in a line.
pub const fn description(kind: DatasetKind) -> &'static str {
    match kind {
        DatasetKind::Cifar100 => "objects, 32×32 pixels",
        DatasetKind::Dtd => "textures; ten official splits",
        DatasetKind::Caltech101 => "objects, with the background class; 30 of each to train on",
        DatasetKind::Pets => "breeds of cats and dogs",
        DatasetKind::Real => "DomainNet, photographs",
        DatasetKind::Clipart => "DomainNet, clip art (cleaned)",
        DatasetKind::Eurosat => "land use from Sentinel-2, RGB, 64×64 pixels",
        DatasetKind::Cassava => "diseases of cassava leaves",
        DatasetKind::CameraTraps => "CCT-20: animals before camera traps, train and cis_test",
        DatasetKind::Folder => "any set with a folder per class, with or without train, val, test",
        DatasetKind::Csv => "any set with a table of paths and labels",
        DatasetKind::Shards => "any set as WebDataset tars with labels in .cls",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_can_be_checked() {
        for &kind in DatasetKind::ALL {
            assert!(remote_files(kind).is_empty() == by_hand(kind).is_some(), "{kind}");
            for file in remote_files(kind) {
                assert!(file.md5.is_some() || file.bytes.is_some(), "{}", file.path);
                assert!(file.md5.is_none_or(|md5| md5.len() == 32), "{}", file.path);
                assert!(file.url.rsplit('/').next() == Some(file.path), "{}", file.path);
            }
        }
    }
}
