# shellcheck shell=bash
# Sourced by the transfer demo and its bench, after start_world.sh and demo_steps.sh: a study small enough for two cores.
#
#   pretrain BINARIES FOLDER SOURCE ROWS   a tiny CLIP on a source of the miniature web (start_world first):
#                                          FOLDER/runs/SOURCE
#   make_tasks BINARIES FOLDER             two labelled tasks as folders of classes, 480 pictures in each part:
#                                          FOLDER/tasks/{colours,backdrops}/{train,test}

pretrain() {
    # shellcheck disable=SC2154 # world_url comes from start_world.sh
    "$1/pairmill-world" table --source "$3" --rows "$4" --base-url "$world_url" --format tsv --out "$2/$3.tsv"
    "$1/pairmill-ingest" run --url-list "$2/$3.tsv" --input-format tsv --caption-col caption \
        --output-folder "$2/$3" --output-format webdataset --image-size 80 --resize-mode keep_ratio \
        --number-sample-per-shard 1000 --allow-private-addresses --quiet
    show "$1/pairmill-train" run clip-rn-tiny --data "$2/$3" --out "$2/runs/$3" --device cpu --quiet
}

make_tasks() {
    local part
    for part in train test; do
        "$1/pairmill-world" task --task colours --split "$part" --per-class 40 --out "$2/tasks/colours/$part"
        "$1/pairmill-world" task --task backdrops --split "$part" --per-class 120 --out "$2/tasks/backdrops/$part"
    done
}
