select max(applied) as applied, max(watermark) as watermark, count() as checkpoints
from {{ source('torghut_raw', 'mirror_checkpoint') }}
