#!/usr/bin/env bash
# Soak each method with a network small enough for two CPU cores.
#
#   bash tools/benchmarks/soak.sh FOLDER [arguments of soak.py]
#
# METHODS='caco care' names some of them. PYTHON names another Python. The
# learning rate is constant, as the run is longer than the configs' schedules;
# the backbone's batch norms are those of each process, as synchronised ones
# take most of the time of so small a network.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"

[ $# -ge 1 ] || fail 'usage: soak.sh FOLDER [arguments of soak.py]'
folder=$1
shift
choose_python
export PYTHON=$python
status=0
for method in ${METHODS:-adco caco clsa care}; do
    crop=train_dataloader.dataset.pipeline.1.transforms
    small=(param_scheduler=None optim_wrapper.optimizer.lr=0.01
        default_hooks.knn.{train,test}_dataset.fraction=0.05
        $crop.0.0.size=32
        model.backbone.{base,stem}_channels=8 model.backbone.norm_cfg.type=BN
        model.neck.{in,hid}_channels=64)
    case $method in
    adco) config=adco_resnet18_1xb64-asym-coslr-15e ;;
    caco) config=caco_resnet18_1xb64-sym-coslr-15e ;;
    clsa) config=clsa_resnet18_1xb64-single-coslr-15e ;;
    care)
        config=care_resnet18_1xb64-2view-coslr-15e
        small+=($crop.1.0.size=32 model.attention.img_size=32
            model.attention.in_channels=32 model.attention.out_channels=64
            model.attention_neck.{in,hid}_channels=64
            model.{,attention_}predictor.hid_channels=64)
        ;;
    *) fail "METHODS: there is no method $method" ;;
    esac
    echo "== $method"
    "$python" "$root/tools/benchmarks/soak.py" \
        "$root/configs/selfsup/$method/${config}_photopatches.py" \
        --out "$folder/$method" --share 0.2 "$@" --cfg-options "${small[@]}" || status=1
done
exit $status
