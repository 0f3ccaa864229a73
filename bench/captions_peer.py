"""One peer's count of a Parquet file's words: captions_peer.py PEER INPUT OUTPUT. Prints the CPU seconds of the work
alone, without starting Python and importing the peer."""

import os
import sys
import time

COLUMN = "TEXT"


def count_polars(source, target):
    import polars

    words = polars.col(COLUMN).str.to_lowercase().str.extract_all(r"\p{L}+")
    yield
    counted = polars.scan_parquet(source).select(words.alias("word")).explode("word").drop_nulls()
    counted = counted.group_by("word").len("count").sort(["count", "word"], descending=[True, False])
    counted.collect().write_csv(target)


def count_duckdb(source, target):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    yield
    connection.execute(
        f"COPY (SELECT word, count(*) AS count FROM (SELECT unnest(regexp_extract_all(lower({COLUMN}), '\\p{{L}}+')) AS word "
        f"FROM '{source}') GROUP BY word ORDER BY count DESC, word) TO '{target}' (HEADER)"
    )


def captions(source):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(source, columns=[COLUMN])[COLUMN].to_pylist()


def write_counts(counts, target):
    with open(target, "w", encoding="utf-8") as output:
        output.write("word,count\n")
        for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            output.write(f"{word},{count}\n")


def count_nltk(source, target):
    """NLTK's averaged perceptron. Its trained model is a download from a site of NLTK's own, so one is trained here, on
    the first 1,000 captions as TextBlob tags them; that decides which words are nouns, not how long tagging takes."""
    import collections

    import nltk
    from textblob.en.taggers import PatternTagger

    tokenize = nltk.tokenize.NLTKWordTokenizer().tokenize
    tagger = nltk.tag.perceptron.PerceptronTagger(load=False)
    texts = captions(source)
    pattern = PatternTagger()
    sentences = [[(w, t) for w, t in pattern.tag(text) if t] for text in texts[:1000]]
    tagger.train([s for s in sentences if s], nr_iter=5)
    yield
    counts = collections.Counter()
    for text in texts:
        counts.update(word for word, tag in tagger.tag(tokenize(text.lower())) if tag in ("NN", "NNS"))
    write_counts(counts, target)


def count_textblob(source, target):
    import collections

    from textblob.en.taggers import PatternTagger

    tagger = PatternTagger()
    tagger.tag("warm up")
    texts = captions(source)
    yield
    counts = collections.Counter()
    for text in texts:
        counts.update(word for word, tag in tagger.tag(text.lower()) if tag in ("NN", "NNS"))
    write_counts(counts, target)


def main():
    peer, source, target = sys.argv[1:]
    os.environ["POLARS_MAX_THREADS"] = "1"
    steps = {"polars": count_polars, "duckdb": count_duckdb, "nltk": count_nltk, "textblob": count_textblob}
    work = steps[peer](source, target)
    next(work)
    start = time.process_time()
    next(work, None)
    print(f"{time.process_time() - start:.3f}")


main()
