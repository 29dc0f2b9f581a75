"""The right backbone is loaded whole, the wrong one is refused."""
import json

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from caco_ext.converters import CheckpointError, convert, write_checkpoint
from caco_ext.converters.backbones import read_backbone
from caco_ext.transfer import find_places, load_pretrained
from tests.helpers import original_checkpoints as originals

SMALL = dict(stem_channels=8, base_channels=8)


def network(depth=50, stages=4, **options):
    """The hosts' ResNet, an eighth as wide."""
    return MODELS.build(
        dict(
            type='mmcls.ResNet',
            depth=depth,
            num_stages=stages,
            out_indices=(stages - 1, ),
            strides=(1, 2, 2, 2)[:stages],
            dilations=(1, ) * stages,
            **{
                **SMALL,
                **options
            }))


class Classifier(nn.Module):
    """A model with a backbone."""

    def __init__(self, **options):
        super().__init__()
        self.backbone = network(**options)


class C4(nn.Module):
    """A model whose last stage stands in its RoI head."""

    def __init__(self):
        super().__init__()
        self.backbone = network(stages=3)
        self.roi_head = nn.Module()
        self.roi_head.shared_head = MODELS.build(
            dict(
                type='LastStageExtraNorm',
                depth=50,
                base_channels=8,
                norm_cfg=dict(type='BN')))


@pytest.fixture
def files(tmp_path):
    """AdCo's file by its authors, as a training checkpoint, and extracted."""
    author = str(tmp_path / 'author.pth.tar')
    originals.small(author, 'adco')
    paths = dict(author=author)
    for part in ('full', 'backbone', 'backbone_k'):
        paths[part] = str(tmp_path / f'{part}.pth')
        write_checkpoint(convert(author, part=part)[0], paths[part])
    return paths


def change(path, function):
    """Rewrite a checkpoint's weights."""
    content = torch.load(path)
    content['state_dict'] = function(content['state_dict'])
    torch.save(content, path)


@pytest.mark.parametrize('method', originals.METHODS)
def test_accepts_every_authors_file(method, tmp_path):
    path = str(tmp_path / 'a.pth.tar')
    originals.small(path, method)
    model = Classifier()
    proof = load_pretrained(model, path)
    assert proof['matched'] == {'model.backbone': 318}
    assert method in proof['source'] and 'ResNet-50' in proof['architecture']
    wanted = read_backbone(path).weights
    own = model.backbone.state_dict()
    assert all(torch.equal(own[name], wanted[name]) for name in wanted)
    json.dumps(proof)


def test_training_checkpoint_and_extracted_backbone_give_the_same(files):
    states = []
    for kind in ('author', 'full', 'backbone'):
        model = Classifier()
        load_pretrained(model, files[kind])
        states.append(model.backbone.state_dict())
    assert all(
        torch.equal(value, other[name]) for other in states[1:]
        for name, value in states[0].items())


def test_c4_takes_both_places_from_one_file(files):
    model = C4()
    norm = {
        n: v.clone()
        for n, v in model.roi_head.shared_head.norm.state_dict().items()
    }
    proof = load_pretrained(model, files['full'])
    assert proof['matched'] == {
        'model.backbone': 258,
        'model.roi_head.shared_head': 60
    }
    weights = read_backbone(files['full']).weights
    head = model.roi_head.shared_head.state_dict()
    stage = {n: v for n, v in weights.items() if n.startswith('layer4.')}
    assert len(stage) == 60
    assert all(torch.equal(head[n], v) for n, v in stage.items())
    assert all(torch.equal(head[f'norm.{n}'], v) for n, v in norm.items())


def assert_refused(model, path, *parts, **options):
    """Loading has to fail, with these in the message, and change nothing."""
    before = {n: v.clone() for n, v in model.state_dict().items()}
    with pytest.raises((CheckpointError, FileNotFoundError)) as error:
        load_pretrained(model, path, **options)
    for part in parts:
        assert part in str(error.value), (part, str(error.value))
    after = model.state_dict()
    assert all(torch.equal(after[name], v) for name, v in before.items())


def test_refuses_another_depth_and_width(files):
    assert_refused(
        Classifier(depth=101), files['full'], 'ResNet-50',
        '318 of 624 keys match', '306 missing (layer3.10.bn1')
    assert_refused(
        Classifier(base_channels=16), files['full'],
        'of another shape (layer1.0')
    # half of a backbone would fit, and the rest be lost
    assert_refused(
        Classifier(stages=3), files['full'], '258 of 258 keys match',
        '60 too many (layer4.0')


def test_refuses_missing_keys(files):
    change(
        files['backbone'], lambda state: {
            k: v
            for k, v in state.items() if '.layer3.2.' not in k
        })
    assert_refused(Classifier(), files['backbone'],
                   'layer3.2.conv1.weight is missing', '300 of 318 keys',
                   'first unmatched: backbone.layer3.2.conv1.weight')


def test_refuses_a_wrong_prefix_and_says_which_it_has(files):
    change(files['backbone'], lambda state: {
        f'online.{k[9:]}': v
        for k, v in state.items()
    })
    assert_refused(Classifier(), files['backbone'], '0 of 318 keys',
                   "'online.'", 'first unmatched: backbone.conv1.weight')


def test_refuses_the_key_encoder_unless_it_is_asked_for(files):
    assert_refused(Classifier(), files['backbone_k'],
                   '318 of 318 backbone keys', 'key encoder')
    load_pretrained(Classifier(), files['backbone_k'], part='backbone_k')
    # and one that stands alone in a training checkpoint
    change(
        files['full'], lambda state: {
            k: v
            for k, v in state.items() if not k.startswith('backbone.')
        })
    assert_refused(Classifier(), files['full'], "begins with 'backbone.'",
                   '318 of them stand behind the prefix')
    one, other = Classifier(), Classifier()
    load_pretrained(one, files['author'], part='backbone_k')
    load_pretrained(other, files['author'])
    assert not torch.equal(one.backbone.conv1.weight,
                           other.backbone.conv1.weight)


def test_refuses_a_labelled_network_unless_it_is_asked_for(files):

    def add_head(state):
        return {**state, 'head.fc.weight': torch.zeros(1000, 256)}

    change(files['backbone'], add_head)
    for model in (Classifier(), C4()):
        assert_refused(model, files['backbone'], '318 of 318 backbone keys',
                       'head.fc.weight')
        load_pretrained(model, files['backbone'], supervised=True)


def test_refuses_another_stem(files):
    model = Classifier(deep_stem=True)
    assert_refused(model, files['full'], 'missing (stem.0.')


def test_refuses_what_is_no_checkpoint(tmp_path):
    text = tmp_path / 'a.pth'
    assert_refused(Classifier(), str(text), 'does not exist')
    text.write_text('hello')
    assert_refused(Classifier(), str(text), 'not a readable checkpoint')
    with pytest.raises(CheckpointError, match='no backbone'):
        find_places(nn.Linear(1, 1))
