//! The checks. Each is a function of the study alone.

use pairmill_shards::results::Shots;

use super::Claim;
use super::compare::Comparison;
use crate::stats::{kendall, mean, ranks, short, spearman};
use crate::study::{RN50, SCRATCH, shots_label, source_label, task_label};
use crate::transfer::{SIZES, Series, Study, size_series, spreads};

/// All, in the order shown.
pub const ALL: [fn(&Study<'_>) -> Claim; 16] = [
    spread_shrinks,
    full_hardly_matters,
    wit_worst,
    shutterstock_on_dtd,
    redcaps_on_pets,
    beats_scratch,
    more_laion,
    more_yfcc,
    laion_sizes,
    laion_2b_over_15m,
    template_over_flickr,
    curated_over_laion,
    laion_2b_matches_supervised,
    order_carries_over,
    laion_like_openai,
    clip_over_simclr,
];

fn clip(us: &str) -> Series {
    Series { loss: "CLIP".to_owned(), arch: Some(RN50.to_owned()), us: us.to_owned() }
}

fn any_arch(us: &str) -> Series {
    Series { arch: None, ..clip(us) }
}

fn few_shots(study: &Study<'_>) -> Vec<Shots> {
    study.lineup.shots.iter().copied().filter(|s| *s != Shots::All).collect()
}

fn spread_shrinks(study: &Study<'_>) -> Claim {
    let id = "spread-shrinks";
    let statement = "The more images a task brings, the less the source matters: the mean normalised spread falls with every step of shots.";
    let points = spreads(study);
    let mut means = Vec::new();
    for &shots in &study.lineup.shots {
        let at: Vec<f64> = points.iter().filter(|p| p.shots == shots).map(|p| p.spread).collect();
        means.extend(mean(&at).map(|m| (shots, m)));
    }
    let ([first, .., last], true) = (&means[..], means.len() >= 3) else {
        return Claim::unknown(id, statement, "two sources at three numbers of shots");
    };
    let place = |shots: Shots| study.lineup.shots.iter().position(|s| *s == shots).unwrap_or(0) as f64;
    let pairs: Vec<(f64, f64)> = points.iter().map(|p| (place(p.shots), p.spread)).collect();
    let shown: Vec<String> =
        means.iter().map(|(s, m)| format!("{} ({s})", short(*m, if *m < 0.1 { 4 } else { 3 }))).collect();
    let falling = means.windows(2).filter(|w| w[1].1 < w[0].1).count();
    Claim {
        effect: Some((last.1 - first.1, "of the best, from fewest to most shots")),
        spearman: spearman(&pairs),
        kendall: kendall(&pairs),
        numbers: vec![
            format!("mean spread by shots: {}", shown.join(", ")),
            format!("{falling} of {} steps fall", means.len() - 1),
        ],
        ..Claim::judged(id, statement, falling == means.len() - 1)
    }
}

fn full_hardly_matters(study: &Study<'_>) -> Claim {
    let id = "full-hardly-matters";
    let statement = "With all training images the sources differ little: mean normalised spread below 0.05.";
    let mut full: Vec<_> = spreads(study).into_iter().filter(|p| p.shots == Shots::All).collect();
    full.sort_by(|a, b| b.spread.total_cmp(&a.spread));
    let Some(m) = mean(&full.iter().map(|p| p.spread).collect::<Vec<_>>()) else {
        return Claim::unknown(id, statement, "two sources with all training images");
    };
    let shown: Vec<String> =
        full.iter().map(|p| format!("{} {}", task_label(&p.ds), short(p.spread, 4))).collect();
    Claim {
        effect: Some((m, "mean spread")),
        cells: Some((full.iter().filter(|p| p.spread < 0.05).count(), full.len())),
        numbers: vec![shown.join(", ")],
        ..Claim::judged(id, statement, m < 0.05)
    }
}

fn wit_worst(study: &Study<'_>) -> Claim {
    let id = "wit-worst";
    let statement = "WIT is the weakest source at few shots: the lowest mean rank over tasks and shots.";
    let wit = "WIT2.7m";
    // Mean rank of each source, 1 the weakest of its cell, over cells that have WIT and at least three sources.
    let mut sums: Vec<(String, f64, usize)> = Vec::new();
    let (mut last, mut cells) = (0, 0);
    for ds in &study.lineup.tasks {
        for shots in few_shots(study) {
            let values = study.sources_at(ds, shots);
            if values.len() < 3 || !values.iter().any(|v| v.0 == wit) {
                continue;
            }
            cells += 1;
            let places = ranks(&values.iter().map(|v| v.1).collect::<Vec<_>>());
            for ((us, _), place) in values.iter().zip(places) {
                match sums.iter_mut().find(|s| s.0 == *us) {
                    Some(sum) => (sum.1, sum.2) = (sum.1 + place, sum.2 + 1),
                    None => sums.push(((*us).to_owned(), place, 1)),
                }
                last += usize::from(*us == wit && place < 1.5);
            }
        }
    }
    if cells == 0 {
        return Claim::unknown(id, statement, "few-shot values of WIT and two other sources");
    }
    let mut means: Vec<(String, f64)> = sums.into_iter().map(|(us, sum, n)| (us, sum / n as f64)).collect();
    means.sort_by(|a, b| a.1.total_cmp(&b.1));
    let shown: Vec<String> =
        means.iter().map(|(us, m)| format!("{} {}", source_label(us), short(*m, 2))).collect();
    let gap = means.iter().find(|m| m.0 != wit).map_or(0.0, |m| m.1)
        - means.iter().find(|m| m.0 == wit).map_or(0.0, |m| m.1);
    Claim {
        effect: Some((gap, "ranks below the next")),
        cells: Some((last, cells)),
        numbers: vec![format!("mean rank, 1 the weakest: {}", shown.join(", "))],
        ..Claim::judged(id, statement, means.first().is_some_and(|m| m.0 == wit))
    }
}

fn shutterstock_on_dtd(study: &Study<'_>) -> Claim {
    best_on(
        study,
        "shutterstock-best-on-dtd",
        "Shutterstock is the best source for textures (DTD) at every few-shot setting.",
        ("Shutterstock2.7m", "DTD"),
    )
}

fn redcaps_on_pets(study: &Study<'_>) -> Claim {
    best_on(
        study,
        "redcaps-best-on-pets",
        "RedCaps is the best source for cats and dogs (Pets) at every few-shot setting.",
        ("Redcaps2.7m", "PETS"),
    )
}

fn best_on(study: &Study<'_>, id: &'static str, statement: &'static str, (us, ds): (&str, &str)) -> Claim {
    let (mut wins, mut gaps, mut numbers) = (0, Vec::new(), Vec::new());
    for shots in few_shots(study) {
        let values = study.sources_at(ds, shots);
        let own = values.iter().find(|v| v.0 == us).map(|v| v.1);
        let next = values.iter().filter(|v| v.0 != us).copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
        let (Some(own), Some(next)) = (own, next) else { continue };
        wins += usize::from(own > next.1);
        gaps.push(own - next.1);
        numbers.push(format!(
            "{}: {}, next {} {}",
            shots_label(shots),
            short(own, 2),
            source_label(next.0),
            short(next.1, 2)
        ));
    }
    let Some(gap) = mean(&gaps) else {
        return Claim::unknown(id, statement, &format!("few-shot values of {us} and another source on {ds}"));
    };
    Claim {
        effect: Some((gap, "points above the best other")),
        cells: Some((wins, gaps.len())),
        numbers,
        ..Claim::judged(id, statement, wins == gaps.len())
    }
}

fn beats_scratch(study: &Study<'_>) -> Claim {
    let id = "beats-scratch";
    let statement = "Pretraining on any source beats training from scratch on all images, on every task.";
    let (mut wins, mut cells, mut gaps, mut numbers) = (0, 0, Vec::new(), Vec::new());
    for ds in &study.lineup.tasks {
        let Some(scratch) = study.source(SCRATCH, ds, Shots::All) else { continue };
        let values = study.sources_at(ds, Shots::All);
        let Some(worst) = values.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a }) else {
            continue;
        };
        cells += values.len();
        wins += values.iter().filter(|v| v.1 > scratch.value).count();
        gaps.extend(values.iter().map(|v| v.1 - scratch.value));
        numbers.push(format!(
            "{}: {} from scratch, {} with the weakest source ({})",
            task_label(ds),
            short(scratch.value, 2),
            short(worst.1, 2),
            source_label(worst.0)
        ));
    }
    let Some(gap) = mean(&gaps) else {
        return Claim::unknown(id, statement, "runs from scratch and of a source, with all training images");
    };
    Claim {
        effect: Some((gap, "points on average")),
        cells: Some((wins, cells)),
        numbers,
        ..Claim::judged(id, statement, wins == cells)
    }
}

fn more_laion(study: &Study<'_>) -> Claim {
    Comparison::of(study, &clip("LAION15m"), &clip("LAION2.7m")).better(
        "more-laion-helps",
        "More pairs of LAION help: 15 M are better than 2.7 M on average and in three quarters of the cells.",
        "values of LAION15m and LAION2.7m in three cells",
    )
}

fn more_yfcc(study: &Study<'_>) -> Claim {
    Comparison::of(study, &clip("YFCC15m"), &clip("YFCC2.7m")).better(
        "more-yfcc-helps",
        "More pairs of YFCC help: 15 M are better than 2.7 M on average and in three quarters of the cells.",
        "values of YFCC15m and YFCC2.7m in three cells",
    )
}

fn laion_sizes(study: &Study<'_>) -> Claim {
    let id = "accuracy-grows-with-laion";
    let statement = "With all training images, accuracy grows with the number of LAION pairs: rank correlation of at least 0.8 on every task.";
    let values = size_series(study);
    let mut tasks: Vec<&str> = values.iter().map(|v| v.0.as_str()).collect();
    tasks.dedup();
    let (mut rhos, mut taus, mut gains, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ds in tasks {
        let own: Vec<_> = values.iter().filter(|v| v.0 == ds).collect();
        let pairs: Vec<(f64, f64)> = own.iter().map(|v| (SIZES[v.1].1, v.2)).collect();
        let (Some(rho), Some(tau)) = (spearman(&pairs), kendall(&pairs)) else { continue };
        rhos.push(rho);
        taus.push(tau);
        if let [first, .., last] = &own[..] {
            gains.push(last.2 - first.2);
        }
        let shown: Vec<String> =
            own.iter().map(|v| format!("{} ({} M)", short(v.2, 1), SIZES[v.1].2)).collect();
        numbers.push(format!("{}: {}", task_label(ds), shown.join(", ")));
    }
    let (Some(rho), Some(gain)) = (mean(&rhos), mean(&gains)) else {
        return Claim::unknown(id, statement, "runs at four sizes of LAION with one recipe");
    };
    Claim {
        effect: Some((gain, "points from the smallest to the largest")),
        cells: Some((rhos.iter().filter(|r| **r >= 0.8).count(), rhos.len())),
        spearman: Some(rho),
        kendall: mean(&taus),
        numbers,
        ..Claim::judged(id, statement, rhos.iter().all(|r| *r >= 0.8))
    }
}

fn laion_2b_over_15m(study: &Study<'_>) -> Claim {
    let mut claim = Comparison::of(study, &any_arch("LAION2B"), &clip("LAION15m")).better(
        "laion-2b-over-15m",
        "LAION 2B is better than LAION 15 M on average and in three quarters of the cells.",
        "values of LAION2B and LAION15m in three cells",
    );
    if claim.cells.is_some() {
        claim.numbers.push("not of data alone: LAION 2B is a ViT-B/32, LAION 15M a ResNet-50".to_owned());
    }
    claim
}

fn template_over_flickr(study: &Study<'_>) -> Claim {
    Comparison::of(study, &clip("IN_1K_CLIP_captions"), &clip("IN1K-Captions")).better(
        "template-over-flickr",
        "ImageNet with template captions is better than ImageNet with Flickr captions, on average and in three quarters of the cells.",
        "values of IN_1K_CLIP_captions and IN1K-Captions in three cells",
    )
}

fn curated_over_laion(study: &Study<'_>) -> Claim {
    let supervised = Series { loss: "Supervised".to_owned(), ..clip("IN1K") };
    Comparison::of(study, &supervised, &clip("LAION15m")).better(
        "curated-over-laion",
        "1.3 M curated images with labels are better than 15 M uncurated pairs of LAION, on average and in three quarters of the cells.",
        "values of supervised IN1K and LAION15m in three cells",
    )
}

fn laion_2b_matches_supervised(study: &Study<'_>) -> Claim {
    let id = "laion-2b-matches-supervised";
    let statement = "LAION 2B matches supervised ImageNet: not more than one point behind on average.";
    let supervised = Series { loss: "Supervised".to_owned(), ..clip("IN1K") };
    let comparison = Comparison::of(study, &any_arch("LAION2B"), &supervised);
    let Some(gap) = comparison.mean_gap().filter(|_| comparison.cells.len() >= 3) else {
        return Claim::unknown(id, statement, "values of LAION2B and supervised IN1K in three cells");
    };
    let mut numbers = comparison.by_shots();
    numbers.push("not of data alone: LAION 2B is a ViT-B/32, the supervised model a ResNet-50".to_owned());
    Claim {
        effect: Some((gap, "points on average")),
        cells: Some((comparison.wins(), comparison.cells.len())),
        numbers,
        ..Claim::judged(id, statement, gap >= -1.0)
    }
}

fn order_carries_over(study: &Study<'_>) -> Claim {
    let id = "few-shot-order-carries-over";
    let statement = "The order of the sources at the fewest shots predicts their order with all images: mean rank correlation over tasks of at least 0.5.";
    let few = few_shots(study);
    let mut numbers = Vec::new();
    let mut fewest: Option<(f64, f64, usize)> = None;
    for &shots in &few {
        let (mut rhos, mut taus, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        for ds in &study.lineup.tasks {
            let full = study.sources_at(ds, Shots::All);
            let pairs: Vec<(f64, f64)> = study
                .sources_at(ds, shots)
                .into_iter()
                .filter_map(|(us, a)| full.iter().find(|f| f.0 == us).map(|f| (a, f.1)))
                .collect();
            if let (Some(rho), Some(tau)) = (spearman(&pairs), kendall(&pairs)) {
                rhos.push(rho);
                taus.push(tau);
                shown.push(format!("{} {}", task_label(ds), super::signed(rho)));
            }
        }
        let (Some(rho), Some(tau)) = (mean(&rhos), mean(&taus)) else { continue };
        numbers.push(format!(
            "{} against all images: mean Spearman {}, mean Kendall {} ({})",
            shots_label(shots),
            super::signed(rho),
            super::signed(tau),
            shown.join(", ")
        ));
        fewest.get_or_insert((rho, tau, rhos.iter().filter(|r| **r >= 0.5).count()));
    }
    let Some((rho, tau, _)) = fewest else {
        return Claim::unknown(id, statement, "three sources at few shots and with all images");
    };
    Claim { spearman: Some(rho), kendall: Some(tau), numbers, ..Claim::judged(id, statement, rho >= 0.5) }
}

fn laion_like_openai(study: &Study<'_>) -> Claim {
    let id = "laion-like-openai";
    let statement =
        "400 M pairs of LAION transfer like OpenAI’s 400 M (ViT-B/32): mean difference within two points.";
    let vit = |us: &str| Series { arch: Some("VITB32".to_owned()), ..clip(us) };
    let comparison = Comparison::of(study, &vit("LAION400m"), &vit("OpenAI400m"));
    let Some(gap) = comparison.mean_gap().filter(|_| comparison.cells.len() >= 3) else {
        return Claim::unknown(id, statement, "values of LAION400m and OpenAI400m in three cells");
    };
    Claim {
        effect: Some((gap, "points, LAION − OpenAI, on average")),
        cells: Some((comparison.wins(), comparison.cells.len())),
        numbers: comparison.by_shots(),
        ..Claim::judged(id, statement, gap.abs() <= 2.0)
    }
}

fn clip_over_simclr(study: &Study<'_>) -> Claim {
    let of = |loss: &str, us: &str| Series { loss: loss.to_owned(), ..clip(us) };
    let mut all = Comparison { cells: Vec::new() };
    for us in ["Shutterstock2.7m", "CC12m", "Redcaps2.7m"] {
        all = all.and(Comparison::of(study, &of("CLIP_LP-FT", us), &of("SimCLR_LP-FT", us)));
    }
    let mut claim = all.better(
        "clip-over-simclr",
        "Language-image pretraining is better than image-image (SimCLR) on the same images, on average and in three quarters of the cells (LP-FT).",
        "values of CLIP_LP-FT and SimCLR_LP-FT in three cells",
    );
    if claim.cells.is_some() && study.results.protocol == pairmill_shards::results::Protocol::AsPublished {
        claim.numbers.push(
            "both sides are contaminated: the probe was trained on test features (see the audit)".to_owned(),
        );
    }
    claim
}
