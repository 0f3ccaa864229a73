#!/usr/bin/env bash
# run.sh [--pillow FOLDER] [--image FOLDER] [--parquet FOLDER] [--json FOLDER]
#
# The test files of Pillow, of image-rs' `image` and of parquet-testing through Pairmill: FOLDER is a checkout of each,
# also named by PAIRMILL_CORPUS_PILLOW, PAIRMILL_CORPUS_IMAGE and PAIRMILL_CORPUS_PARQUET. What is not given is skipped.
# Every picture that Pillow decodes must come out with its pixels, and every table that pyarrow reads with its rows, or
# be listed in pictures.tsv or tables.tsv with the outcome it has; no file may panic or take more than 300 MB.
# --json keeps the outcome of every file. PAIRMILL_CORPUS_FEATURES are features of pairmill-pixels (default: avif).
# DECODE_DUMP and TABLE_ROWS name binaries to test instead of building them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${PAIRMILL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pairmill}
target=${CARGO_TARGET_DIR:-$cache/target}
pillow=${PAIRMILL_CORPUS_PILLOW-}
image=${PAIRMILL_CORPUS_IMAGE-}
parquet=${PAIRMILL_CORPUS_PARQUET-}
json=
while [ $# -gt 0 ]; do
    case $1 in
    --pillow) pillow=$2 ;;
    --image) image=$2 ;;
    --parquet) parquet=$2 ;;
    --json) json=$2 ;;
    *)
        sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift 2
done

pictures=()
tables=()
# corpus LIST NAME FOLDER FLAG: adds NAME=FOLDER to LIST, or says loudly that there is none.
corpus() {
    if [ -z "$3" ]; then
        echo "SKIPPED: $2's test files were NOT checked; give a checkout with $4" >&2
    elif [ ! -d "$3" ]; then
        echo "$4: there is no folder $3" >&2
        exit 2
    else
        local -n list=$1
        list+=("$2=$3")
    fi
}
corpus pictures Pillow "${pillow:+$pillow/Tests/images}" --pillow
corpus pictures image "${image:+$image/tests}" --image
corpus tables parquet-testing "${parquet:+$parquet}" --parquet
[ ${#pictures[@]} -gt 0 ] || [ ${#tables[@]} -gt 0 ] || exit 0

"$root/tests/peers/install.sh" corpora
python=$cache/peers/corpora/bin/python
[ -z "$json" ] || mkdir -p "$json"
failed=0
if [ ${#pictures[@]} -gt 0 ]; then
    if [ -z "${DECODE_DUMP-}" ]; then
        (cd "$root" && CARGO_TARGET_DIR=$target cargo build --quiet -p pairmill-pixels --example decode_dump \
            --features "${PAIRMILL_CORPUS_FEATURES-avif}")
    fi
    # libtiff's own messages are of no use here.
    "$python" "$here/pictures.py" "${DECODE_DUMP-$target/debug/examples/decode_dump}" "$here/pictures.tsv" \
        "${pictures[@]}" ${json:+--json "$json/pictures.json"} 2> >(grep -v '^TIFF\|^_TIFF\|^Fax\|^JPEG\|^LZW\|^Old\|^PackBits\|^ZIP' >&2) || failed=1
fi
if [ ${#tables[@]} -gt 0 ]; then
    if [ -z "${TABLE_ROWS-}" ]; then
        (cd "$root" && CARGO_TARGET_DIR=$target cargo build --quiet -p pairmill-ingest --example table_rows)
    fi
    "$python" "$here/tables.py" "${TABLE_ROWS-$target/debug/examples/table_rows}" "$here/tables.tsv" \
        "${tables[@]}" ${json:+--json "$json/tables.json"} || failed=1
fi
exit $failed
