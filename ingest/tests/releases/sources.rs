//! Every source over the release that the miniature web writes of it: which rows are taken, in which order, under
//! which address, and how many each rule drops.

use arrow::array::{Array, AsArray};
use pairmill_ingest::config::Config;
use pairmill_ingest::filter::{Funnel, Rule};
use pairmill_ingest::run::{kept_rows, plan};
use pairmill_ingest::source::Source;
use pairmill_world::{Quirk, Release};
use serde_json::Value;

use crate::written::Written;

const ROWS: u64 = 900;

/// The files as a user has them, without the world's own notes.
fn config_of(written: &Written, source: Source, input: &str) -> Config {
    for note in ["truth.jsonl", "expected.json"] {
        std::fs::remove_file(written.path(note)).unwrap();
    }
    let mut config = Config::of_source(source);
    config.input.url_list = written.path(input).display().to_string();
    config.output.output_folder = written.path("out");
    config.source.accept_terms = true;
    config.source.contact = Some("someone@example.org".to_owned());
    config
}

/// Address and caption of the rows that have all of `with` and none of `without`, in the order of the files.
fn pairs(written: &Written, with: &[Quirk], without: &[Quirk]) -> Vec<(String, String)> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or("").to_owned();
    let rows = written.rows(with, without).into_iter();
    rows.map(|row| (text(row, "fetch_url"), text(row, "caption"))).collect()
}

/// Address and caption of the rows that are taken, and the account of the others.
fn taken(config: &Config) -> (Vec<(String, String)>, Funnel) {
    let mut rows = kept_rows(config).unwrap();
    let mut found = Vec::new();
    while let Some(batch) = rows.next_rows().unwrap() {
        let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (urls, captions) = (column("url"), column("caption"));
        for row in 0..batch.num_rows() {
            assert!(urls.is_valid(row));
            found.push((urls.value(row).to_owned(), captions.value(row).to_owned()));
        }
    }
    let funnel = rows.funnel();
    assert_eq!(funnel.kept(), found.len() as u64);
    assert_eq!(
        funnel.rows_in,
        funnel.kept() + Rule::ALL.iter().map(|rule| funnel.dropped(*rule)).sum::<u64>()
    );
    (found, funnel)
}

#[track_caller]
fn assert_same(found: &[(String, String)], expected: &[(String, String)]) {
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found, expected, "row {at}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn laion_of_every_release() {
    let nsfw = [Quirk::NsfwUnsure, Quirk::NsfwNsfw, Quirk::NsfwEmpty, Quirk::NsfwNull];
    for (release, source) in [
        (Release::Laion400m, Source::Laion400m),
        (Release::Laion2b, Source::Laion2b),
        (Release::Laion2bMulti, Source::Laion2b),
        (Release::LaionJoined, Source::Laion2b),
        (Release::LaionMd5, Source::Laion2b),
        (Release::Relaion, Source::Relaion),
    ] {
        let written = Written::new(release, ROWS);
        let (found, funnel) = taken(&config_of(&written, source, ""));
        assert_eq!(funnel.rows_in, ROWS, "{release}");
        let mut without = vec![Quirk::CaptionBlank, Quirk::UrlNull];
        if source == Source::Relaion {
            without.push(Quirk::StatusFailed);
            assert_eq!(funnel.dropped(Rule::Status), written.count(Quirk::StatusFailed), "{release}");
        } else {
            without.extend(nsfw);
            // Rows that are blank too were dropped before.
            let both = nsfw.iter().map(|tag| pairs(&written, &[*tag, Quirk::CaptionBlank], &[]).len() as u64);
            let tagged: u64 = nsfw.iter().map(|tag| written.count(*tag)).sum();
            assert_eq!(funnel.dropped(Rule::Nsfw), tagged - both.sum::<u64>(), "{release}");
            assert!(funnel.dropped(Rule::Nsfw) > 0, "{release}");
        }
        assert_same(&found, &pairs(&written, &[], &without));
    }
}

#[test]
fn cut_offs_of_laions_joined_release() {
    let written = Written::new(Release::LaionJoined, ROWS);
    let mut config = config_of(&written, Source::Laion2b, "");
    config.filter.max_punsafe = Some(0.5);
    config.filter.max_pwatermark = Some(0.8);
    let (_, funnel) = taken(&config);
    assert!(funnel.dropped(Rule::Punsafe) > 0 && funnel.dropped(Rule::Pwatermark) > 0, "{funnel}");
    assert!(
        funnel.dropped(Rule::Punsafe) <= written.count(Quirk::PunsafeHigh) + written.count(Quirk::ScoreNull)
    );
}

#[test]
fn conceptual_captions_with_bare_quotes() {
    for (release, source) in [(Release::Cc3m, Source::Cc3m), (Release::Cc12m, Source::Cc12m)] {
        let written = Written::new(release, ROWS);
        let input = if source == Source::Cc3m { "Train_GCC-training.tsv" } else { "cc12m.tsv" };
        let (found, funnel) = taken(&config_of(&written, source, input));
        assert_eq!(funnel.rows_in, ROWS);
        assert!(written.count(Quirk::QuoteUnbalanced) > 0);
        assert_same(&found, &pairs(&written, &[], &[Quirk::CaptionBlank, Quirk::UrlNull]));
    }
}

#[test]
fn redcaps_links_become_addresses() {
    let written = Written::new(Release::RedCaps, ROWS);
    let (found, funnel) = taken(&config_of(&written, Source::Redcaps, "annotations"));
    let nowhere = [Quirk::UrlImgurAlbum, Quirk::UrlRedditGallery];
    let expected: Vec<(String, String)> =
        pairs(&written, &[], &[Quirk::CaptionBlank]).into_iter().filter(|(url, _)| !url.is_empty()).collect();
    assert_same(&found, &expected);
    assert!(nowhere.iter().all(|quirk| written.count(*quirk) > 0));
    assert!(funnel.dropped(Rule::Album) > 0, "{funnel}");
    assert_eq!(funnel.rows_in, ROWS);
}

#[test]
fn wit_takes_english_rows_with_a_reference() {
    let written = Written::new(Release::Wit, ROWS);
    let (found, funnel) = taken(&config_of(&written, Source::Wit, ""));
    assert_eq!(funnel.rows_in, ROWS);
    let without = [
        Quirk::LanguageOther,
        Quirk::ReferenceNull,
        Quirk::CaptionBlank,
        Quirk::MimeSvg,
        Quirk::MimeTiff,
        Quirk::MimeGif,
    ];
    let expected = pairs(&written, &[], &without);
    // Originals on Wikimedia are asked for as thumbnails, so addresses are compared where they stay.
    assert_eq!(found.len(), expected.len(), "{funnel}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.1, expected.1);
        assert!(found.0 == expected.0 || found.0.contains("/thumb/"), "{} for {}", found.0, expected.0);
    }
    assert_eq!(funnel.dropped(Rule::Language), written.count(Quirk::LanguageOther));
}

#[test]
fn shutterstock_in_three_forms() {
    for (release, input) in [
        (Release::Shutterstock, "shutterstock.tsv"),
        (Release::ShutterstockCsv, "shutterstock.csv"),
        (Release::ShutterstockJsonl, "shutterstock.jsonl"),
    ] {
        let written = Written::new(release, ROWS);
        let (found, funnel) = taken(&config_of(&written, Source::Shutterstock, input));
        assert_eq!(funnel.rows_in, ROWS, "{release}");
        assert_same(&found, &pairs(&written, &[], &[Quirk::CaptionBlank, Quirk::UrlNull]));
    }
}

#[test]
fn yfcc15m_is_the_listed_photos_with_a_text() {
    for release in [Release::Yfcc, Release::Yfcc23] {
        let written = Written::new(release, ROWS);
        let config = config_of(&written, Source::Yfcc15m, "");
        let (found, funnel) = taken(&config);
        assert_same(&found, &pairs(&written, &[Quirk::Listed], &[Quirk::Video, Quirk::CaptionBlank]));
        assert_eq!(funnel.rows_in, ROWS);
        assert_eq!(funnel.dropped(Rule::Unlisted), ROWS - written.count(Quirk::Listed));
        assert_eq!(
            funnel.dropped(Rule::Video),
            pairs(&written, &[Quirk::Listed, Quirk::Video], &[]).len() as u64
        );

        let mut some = config.clone();
        some.subset.rows = Some(20);
        let (drawn, of_subset) = taken(&some);
        assert_eq!((drawn.len(), of_subset.rows_in), (20, ROWS));
        assert!(drawn.iter().all(|row| found.contains(row)));
    }
}

#[test]
fn yfcc_without_its_list_says_where_to_put_it() {
    let written = Written::new(Release::Yfcc, ROWS);
    let mut config = config_of(&written, Source::Yfcc15m, "yfcc100m_dataset.bz2");
    std::fs::remove_file(written.dir.path().join("yfcc100m_subset_data.tsv.bz2")).unwrap();
    let refusal = kept_rows(&config).unwrap_err();
    assert!(refusal.is_bad_input());
    assert!(refusal.to_string().contains("put yfcc100m_subset_data.tsv.bz2 there"), "{refusal}");
    config.input.yfcc = Some(pairmill_ingest::table::YfccOptions { all_photos: true, ..Default::default() });
    let (found, _) = taken(&config);
    assert_same(&found, &pairs(&written, &[], &[Quirk::Video, Quirk::CaptionBlank]));
}

#[test]
fn imagenet_is_found_in_its_folder() {
    let written = Written::new(Release::Imagenet, ROWS);
    let folder = written.dir.path();
    let config = config_of(&written, Source::Imagenet, "");
    let found = plan(&config).unwrap();
    assert_eq!((found.rows, found.inputs[0].name.as_str()), (Some(ROWS), "ILSVRC2012_img_train.tar"));

    let mut flickr = config.clone();
    flickr.input.imagenet = Config::of_source(Source::ImagenetFlickr).input.imagenet;
    let (funnel, _) = plan(&flickr).unwrap().funnel.unwrap();
    assert_eq!(funnel.dropped(Rule::Uncaptioned), ROWS - written.count(Quirk::Captioned));
    assert!(funnel.kept() > 0 && funnel.rows_in == ROWS);

    let mut template = config;
    template.input.imagenet = Config::of_source(Source::ImagenetTemplate).input.imagenet;
    let refusal = plan(&template).unwrap_err();
    let belongs = folder.join("class_names.txt").display().to_string();
    assert!(refusal.is_bad_input() && refusal.to_string().starts_with(&belongs), "{refusal}");
    std::fs::write(folder.join("class_names.txt"), "a\n".repeat(1000)).unwrap();
    std::fs::write(folder.join("templates.txt"), "a photo of a {}.\n").unwrap();
    let counted = plan(&template);
    assert!(counted.is_ok() || !counted.unwrap_err().to_string().contains("cannot read"));
}
