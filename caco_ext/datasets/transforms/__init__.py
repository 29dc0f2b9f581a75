from .loading import BrokenPictureError, LoadImage, decode_picture

__all__ = ['BrokenPictureError', 'LoadImage', 'decode_picture']
