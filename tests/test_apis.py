# Copyright (c) caco_ext authors. All rights reserved.
"""A backbone and its features, as a user asks for them."""
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS
from PIL import Image
from torch.nn import functional as F

from caco_ext.apis import extract_features, get_model, zoo
from caco_ext.converters import CheckpointError
from caco_ext.converters.backbones import read_backbone
from caco_ext.converters.exports import export
from caco_ext.converters.inspection import inspect
from tests.helpers import original_checkpoints as originals


@pytest.fixture
def author(tmp_path):
    net = originals.network(18)
    path = tmp_path / 'a.pth.tar'
    torch.save(originals.adco_of(net), path)
    net.fc = torch.nn.Identity()
    return path, net


@torch.no_grad()
def test_features_of_tensors(author):
    path, net = author
    model = get_model(path)
    assert not any(module.training for module in model.modules())
    images = originals.fill.images(5, 64)
    features = extract_features(model, images, batch_size=2)
    assert features.shape == (5, 512) and features.dtype == torch.float32
    wanted = net(images)
    assert (features - wanted).abs().max() < 1e-4 * wanted.abs().max()
    unit = extract_features(model, images, normalize=True)
    assert torch.allclose(unit, F.normalize(wanted, dim=1), atol=1e-5)


@torch.no_grad()
def test_features_of_pictures(author, tmp_path):
    """Files, PIL pictures and arrays are the same picture."""
    path, net = author
    model = get_model(path)
    model.train()
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (256, 300, 3), dtype=np.uint8)
    file = tmp_path / 'a.png'
    Image.fromarray(pixels).save(file)
    features = extract_features(
        model, [str(file), Image.open(file), pixels, file])
    assert (features == features[:1]).all()
    # of 256 x 300 the middle is used as it is
    middle = torch.from_numpy(pixels[16:240, 38:262]).permute(2, 0, 1)
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    wanted = net((middle - mean)[None] / std)
    assert (features[:1] - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert model.training  # its mode stays


@torch.no_grad()
def test_network_for_small_pictures(tmp_path):
    """The 3x3 stem of the CIFAR presets is recognised."""
    torch.manual_seed(0)
    own = MODELS.build(
        dict(
            type='mmcls.ResNet_CIFAR',
            depth=18,
            base_channels=16,
            stem_channels=16,
            out_indices=[3]))
    own.init_weights()
    own.eval()
    path = tmp_path / 'a.pth'
    weights = {f'backbone.{n}': v for n, v in own.state_dict().items()}
    torch.save(dict(state_dict=weights), path)
    images = originals.fill.images(3, 32)
    features = extract_features(get_model(path), images)
    assert torch.allclose(features, own(images)[0].mean((2, 3)), atol=1e-5)
    name = 'ResNet-18 with a 3x3 stem (stem 16, inner 16, outer 16)'
    assert f'backbone: {name}' in inspect(str(path))
    for target in ('timm', 'detectron2'):
        with pytest.raises(CheckpointError, match=f'{target} has no .* 3x3'):
            export(read_backbone(str(path)), target, {})


def test_wrong_pictures(author):
    model = get_model(author[0])
    for images, message in (
        ([], '0 images'),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), 'torch.uint8 tensor'),
        (torch.zeros(3, 8, 8), r'\(3, 8, 8\); give'),
        ([np.zeros((8, 8, 3))], 'float64 array'),
        ([3], 'an image is a int'),
    ):
        with pytest.raises(ValueError, match=message):
            extract_features(model, images)


def test_names_of_the_zoo(author, tmp_path, monkeypatch):
    name = 'caco_resnet50_8xb128-sym-coslr-200e_in1k'
    assert name in zoo()
    with pytest.raises(CheckpointError, match='no weights of caco_.*authors'):
        get_model(name)
    with pytest.raises(FileNotFoundError, match=f'near: .*{name}'):
        get_model(name.replace('sym', 'symm'))
    # published: a file beside, or on the web and fetched once
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    for weights in (str(author[0]), author[0].as_uri()):
        monkeypatch.setattr('caco_ext.apis.zoo',
                            lambda: {name: dict(Weights=weights)})
        model = get_model(name)
        assert model.conv1.weight.shape == (64, 3, 7, 7)
    assert [p.name for p in (tmp_path / 'hub' / 'checkpoints').iterdir()
            ] == ['a.pth.tar']


def test_exported_by_the_package():
    import caco_ext
    assert caco_ext.get_model is get_model
    assert caco_ext.extract_features is extract_features
    assert {'get_model', 'extract_features'} <= set(dir(caco_ext))
    with pytest.raises(AttributeError, match='get_modell'):
        caco_ext.get_modell
